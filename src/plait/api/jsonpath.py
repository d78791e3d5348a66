"""The part of JSONPath that printer columns use: `.a.b`, `['a']`, `[0]`, `[*]`, `[?(@.type=="Ready")]`, `a\\.b`."""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from plait.api.shapes import is_list, is_map

_Step = Callable[[Any], list[Any]]

_TOKEN = re.compile(
    r"""\.(?P<name>(?:\\.|[^.\[\\])+)
      | \[\s*(?P<quote>['"])(?P<quoted>.*?)(?P=quote)\s*\]
      | \[\s*(?P<index>-?\d+)\s*\]
      | \[\s*(?P<all>\*)\s*\]
      | \[\?\(\s*@(?P<field>\.[^=!<>]+?)\s*(?P<operator>==|!=)\s*(?P<q>['"])(?P<value>.*?)(?P=q)\s*\)\]""",
    re.VERBOSE,
)


def find(document: Any, path: str) -> list[Any]:
    """All values at a path, in order."""
    values = [document]
    for step in _steps(path):
        values = [found for value in values for found in step(value)]
    return values


@lru_cache(maxsize=512)
def _steps(path: str) -> tuple[_Step, ...]:
    text = path if path.startswith((".", "[")) else f".{path}"
    steps: list[_Step] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ValueError(f"{path!r} is not a JSONPath as printer columns use it")
        steps.append(_step(match))
        position = match.end()
    return tuple(steps)


def _step(match: re.Match[str]) -> _Step:
    if match["all"]:
        return _everything
    if match["index"]:
        index = int(match["index"])
        return lambda value: value[index : index + 1 or None] if is_list(value) else []
    if match["field"]:
        return _filter(match["field"], match["value"], equal=match["operator"] == "==")
    name = match["quoted"] if match["quoted"] is not None else re.sub(r"\\(.)", r"\1", match["name"])
    return lambda value: [value[name]] if is_map(value) and name in value else []


def _filter(field: str, wanted: str, *, equal: bool) -> _Step:
    def keep(value: Any) -> list[Any]:
        items = value if is_list(value) else []
        return [item for item in items if any(str(found) == wanted for found in find(item, field)) == equal]

    return keep


def _everything(value: Any) -> list[Any]:
    if is_map(value):
        return list(value.values())
    return value if is_list(value) else []
