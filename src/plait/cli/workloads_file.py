"""Workloads files: many run specs in one YAML document, `workloads: [...]`, read with every mistake at once.

Lines are kept from the YAML nodes, so that a mistake is told with file and line.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from plait.cli import specs
from plait.cli.fields import as_list, as_mapping
from plait.errors import InvalidInputError
from plait.resources.violations import Violation

HINT = "write `workloads:` and a list of {name, command, ...}; see `plait start --help`"


def load(path: Path, folder: Path) -> tuple[dict[str, Any], ...]:
    """The run specs of a file (`-`: standard input); `folder` is where relative working directories start."""
    file = str(path)
    text = _read(path)
    try:
        root = yaml.compose(text, yaml.SafeLoader)
        value = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise InvalidInputError(
            [Violation(file=file, line=line, problem=f"not YAML: {error.problem}", remedy="mend the syntax")]
        ) from None
    found = list(_violations(value, file, _lines(root)))
    if found:
        raise InvalidInputError(found)
    return tuple(_finished(entry, folder) for entry in value["workloads"])


def _read(path: Path) -> str:
    import sys

    if str(path) == "-":
        return sys.stdin.read()
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise InvalidInputError(
            [Violation(file=str(path), problem=f"cannot be read: {reason}", remedy="check the path")]
        ) from None


def _violations(value: Any, file: str, lines: Mapping[str, int]) -> Iterator[Violation]:
    top = as_mapping(value) or {}
    entries = as_list(top.get("workloads"))
    if not entries:
        yield Violation(file=file, line=1, problem="no workloads in it", remedy=HINT)
        return
    for name in top.keys() - {"workloads"}:
        yield Violation(file=file, line=lines.get(str(name), 1), path=str(name), problem="there is no such field",
                        remedy="only `workloads` stands at the top")  # fmt: skip
    for at, entry in enumerate(entries):
        yield from _entry_violations(entry, f"workloads[{at}]", file, lines)
    yield from _duplicates(entries, file, lines)


def _entry_violations(entry: Any, place: str, file: str, lines: Mapping[str, int]) -> Iterator[Violation]:
    if (fields := as_mapping(entry)) is None:
        yield Violation(file=file, line=lines.get(place, 0), path=place, problem="must be a mapping", remedy=HINT)
        return
    found = list(specs.mistakes({str(name): item for name, item in fields.items()}))
    if "name" not in fields:
        found.append(specs.Mistake(path="name", problem="the workload has no name", remedy="write name: NAME"))
    for mistake in found:
        path = f"{place}.{mistake.path}"
        line = _nearest_line(path, lines)
        yield Violation(file=file, line=line, path=path, problem=mistake.problem, remedy=mistake.remedy)


def _duplicates(entries: Sequence[Any], file: str, lines: Mapping[str, int]) -> Iterator[Violation]:
    seen = dict[tuple[Any, Any], int]()
    for at, entry in enumerate(entries):
        fields = as_mapping(entry) or {}
        if not isinstance(fields.get("name"), str):
            continue
        key = (fields.get("namespace", "default"), fields["name"])
        if key in seen:
            yield Violation(
                file=file, line=_nearest_line(f"workloads[{at}].name", lines), path=f"workloads[{at}].name",
                problem=f"{key[1]!r} is the name of workloads[{seen[key]}] already", remedy="give each its own name",
            )  # fmt: skip
        else:
            seen[key] = at


def _lines(node: yaml.Node | None, path: str = "") -> dict[str, int]:
    """The line of every field and list item below a YAML node."""
    found = {path: node.start_mark.line + 1} if node is not None and path else {}
    if isinstance(node, yaml.MappingNode):
        for key, item in node.value:
            name = f"{path}.{key.value}" if path else str(key.value)
            found |= _lines(item, name)
            found[name] = key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for at, item in enumerate(node.value):
            found |= _lines(item, f"{path}[{at}]")
    return found


def _nearest_line(path: str, lines: Mapping[str, int]) -> int:
    while path and path not in lines:
        cut = max(path.rfind("."), path.rfind("["))
        path = path[: max(cut, 0)]
    return lines.get(path, 0)


def _finished(entry: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    spec = specs.normal(entry)
    spec["workingDirectory"] = str(folder / spec.get("workingDirectory", ""))
    return spec
