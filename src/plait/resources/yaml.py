"""YAML and JSON text become documents that know the line of each of their fields.

The text is parsed into events (which carry lines) and these are read as plain JSON values, as Kubernetes' tools read
YAML 1.1: keys become strings, times stay strings, `<<` merges. Lists of objects are unfolded. What is wrong comes
back as violations; what stands before a syntax error is still read.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import yaml
from yaml.events import DocumentStartEvent, Event
from yaml.reader import ReaderError

from plait.resources import paths
from plait.resources.values import as_array, as_object, as_text, type_name
from plait.resources.violations import Violation
from plait.resources.yaml_events import Reader
from plait.resources.yaml_events import line_of as starting_line

SUFFIXES = (".yaml", ".yml", ".json")
"""What files in folders must end with to be read."""
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One object as written. `lines` has the line of every field and item by its path, "" is the object's own."""

    value: dict[str, Any]
    file: str = ""
    line: int = 0
    lines: Mapping[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What was read and what was wrong with it."""

    documents: tuple[Document, ...] = ()
    violations: tuple[Violation, ...] = ()


def load(text: str, file: str = "-") -> Loaded:
    """The objects in a text of any number of YAML documents."""
    documents: list[Document] = []
    violations: list[Violation] = []
    try:
        events = iter(yaml.parse(text, Loader=_Loader))
        for event in events:
            if isinstance(event, DocumentStartEvent):
                _read_document(events, file, documents, violations)
    except (yaml.YAMLError, ValueError) as error:
        as_json = _load_json(text, file)
        if as_json is not None:
            return as_json
        violations.append(_syntax_error(error, text, file))
    return Loaded(documents=tuple(documents), violations=tuple(violations))


def _read_document(events: Iterator[Event], file: str, documents: list[Document], violations: list[Violation]) -> None:
    reader = Reader(events, file=file)
    first = next(events)
    value = reader.read(first)
    violations.extend(reader.violations)
    line = starting_line(first)
    fields = as_object(value)
    if fields is not None:
        document = Document(value=fields, file=file, line=line, lines={"": line, **reader.lines})
        documents.extend(unfold(document))
    elif value is not None:
        problem = f"must be an object with apiVersion and kind, not {type_name(value)}"
        violations.append(Violation(file=file, line=line, problem=problem))


def _load_json(text: str, file: str) -> Loaded | None:
    """JSON that is no YAML (tabs between tokens), without the lines of its fields."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    document = Document(value=as_object(value) or {}, file=file, line=1, lines={"": 1})
    return Loaded(documents=tuple(unfold(document)))


def _syntax_error(error: Exception, text: str, file: str) -> Violation:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line = mark.line + 1 if mark else 0
    if isinstance(error, ReaderError):
        line = text.encode()[: error.position].count(b"\n") + 1
    problem = getattr(error, "problem", None) or getattr(error, "reason", None)
    context = getattr(error, "context", None)
    parts = [str(part) for part in (context, problem) if part]
    what = ", ".join(parts) or "cannot be read"
    return Violation(
        file=file,
        line=line,
        problem=f"YAML syntax error: {what}",
        remedy="check indentation (spaces, no tabs), quotes and brackets on this line and the one before",
    )


def unfold(document: Document) -> Iterator[Document]:
    """The items of a list of objects (`v1 List`, `HTTPRouteList`), or the document itself."""
    kind, items = as_text(document.value.get("kind")), as_array(document.value.get("items"))
    if not kind.endswith("List") or items is None:
        yield document
        return
    for index, item in enumerate(items):
        prefix = f"items[{index}]"
        lines = {
            path[len(prefix) :].lstrip("."): line
            for path, line in document.lines.items()
            if path == prefix or path.startswith((f"{prefix}.", f"{prefix}["))
        }
        line = lines.get("", document.line)
        value = _with_list_kind(item, document.value, kind)
        yield from unfold(Document(value=value, file=document.file, line=line, lines={"": line, **lines}))


def _with_list_kind(item: Any, parent: Mapping[str, Any], kind: str) -> Any:
    """An item of a typed list (`ServiceList`) may leave out its own type."""
    fields = as_object(item)
    if fields is None or kind == "List" or "kind" in fields:
        return item
    return {"apiVersion": parent.get("apiVersion"), "kind": kind.removesuffix("List"), **fields}


def load_paths(names: Sequence[str | Path], stdin: TextIO | None = None) -> Loaded:
    """The objects in files, in folders (all YAML and JSON files below), and in standard input (`-`)."""
    loaded: list[Loaded] = []
    for name in names:
        if str(name) == "-":
            loaded.append(load(stdin.read() if stdin else ""))
        else:
            loaded.extend(_load_path(Path(name)))
    return joined(loaded)


def joined(parts: Iterable[Loaded]) -> Loaded:
    """What was read in parts, as one."""
    loaded = tuple(parts)
    return Loaded(
        documents=tuple(document for part in loaded for document in part.documents),
        violations=tuple(violation for part in loaded for violation in part.violations),
    )


def files_of(names: Iterable[Path]) -> Iterator[Path]:
    """The files that `load_paths` reads for these names, in its order."""
    for name in names:
        yield from sorted(_files(name)) if name.is_dir() else (name,)


def _load_path(path: Path) -> Iterator[Loaded]:
    if not path.is_dir():
        yield _load_file(path)
        return
    files = sorted(_files(path))
    if not files:
        yield _wrong(path, "no YAML or JSON files in this folder", "name files *.yaml, *.yml or *.json")
    for file in files:
        yield _load_file(file)


def _files(folder: Path) -> Iterable[Path]:
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix in SUFFIXES and path.is_file() and not hidden:
            yield path


def _load_file(path: Path) -> Loaded:
    try:
        return load(path.read_text(encoding="utf-8-sig"), str(path))
    except FileNotFoundError:
        return _wrong(path, "no such file or folder", "check the path")
    except UnicodeDecodeError:
        return _wrong(path, "is not UTF-8 text", "save the file in UTF-8")
    except OSError as error:
        return _wrong(path, f"cannot be read: {error.strerror or error}", "check its permissions")


def _wrong(path: Path, problem: str, remedy: str) -> Loaded:
    return Loaded(violations=(Violation(file=str(path), problem=problem, remedy=remedy),))


def line_of(document: Document, path: str) -> int:
    """The line of a field of the document, or of what surrounds it."""
    return paths.line_of(path, document.lines)
