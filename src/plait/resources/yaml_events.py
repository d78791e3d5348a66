"""YAML's events become JSON values; the line of each is kept, and what JSON cannot hold is a violation.

Events come from libyaml one by one, without recursion; nesting is bounded here, so that no text can exhaust the stack
(composing nodes with libyaml's Python binding ends the process on deep nesting). Aliases are copies, and the total
number of values is bounded, so that a few lines that refer to each other cannot fill the memory.
"""

import math
import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, NoReturn, cast

from yaml.constructor import SafeConstructor
from yaml.error import MarkedYAMLError
from yaml.events import (
    AliasEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from yaml.nodes import ScalarNode
from yaml.resolver import Resolver

from plait.resources import paths
from plait.resources.values import as_array, as_object
from plait.resources.violations import Violation

MAX_VALUES = 500_000
"""Most values in one document, aliases followed."""
MAX_DEPTH = 100
"""Deepest nesting."""
_TAG = "tag:yaml.org,2002:"
_AS_TEXT = frozenset({"str", "timestamp", "binary", "value"})
_EXPONENT = re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+")
"""Numbers of JSON, and of YAML since 1.2, that YAML 1.1 takes for text: a power of ten without a point."""
_BOOLEANS = {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}


@dataclass(frozen=True, slots=True)
class _Anchor:
    """A value with a name; `size` counts the values in it, `depth` how deep they are nested."""

    value: Any
    size: int
    depth: int


class Reader:
    """Reads one document from events; collects `lines` by path and `violations`."""

    def __init__(self, events: Iterator[Event], *, file: str) -> None:
        self.file = file
        self.lines: dict[str, int] = {}
        self.violations: list[Violation] = []
        self._events = events
        self._anchors: dict[str, _Anchor | None] = {}
        self._values = 0
        self._resolve: Callable[[type, str, tuple[bool, bool]], str] = cast("Any", Resolver()).resolve
        self._numbers = SafeConstructor()

    def read(self, event: Event, path: str = "", depth: int = 0) -> Any:
        """The value that begins with an event."""
        before = self._values
        self._values += 1
        if isinstance(event, AliasEvent):
            return self._alias(event, path, depth)
        if depth > MAX_DEPTH or self._values > MAX_VALUES:
            self._too_much(event, depth)
        anchor = getattr(event, "anchor", None)
        if anchor:
            self._anchors[anchor] = None
        value = self._value(event, path, depth)
        if anchor:
            self._anchors[anchor] = _Anchor(value, self._values - before, _depth(value))
        return value

    def _value(self, event: Event, path: str, depth: int) -> Any:
        if isinstance(event, MappingStartEvent):
            return self._mapping(path, depth)
        if isinstance(event, SequenceStartEvent):
            return self._sequence(path, depth)
        return self._scalar(event, path) if isinstance(event, ScalarEvent) else None

    def _alias(self, event: AliasEvent, path: str, depth: int) -> Any:
        if event.anchor not in self._anchors:
            return self._wrong(event, path, f"*{event.anchor} refers to nothing", f"name a value with &{event.anchor}")
        anchor = self._anchors[event.anchor]
        if anchor is None:
            return self._wrong(event, path, f"*{event.anchor} refers to what contains it")
        self._values += anchor.size
        if depth + anchor.depth > MAX_DEPTH or self._values > MAX_VALUES:
            self._too_much(event, depth + anchor.depth)
        return deepcopy(anchor.value)

    def _too_much(self, event: Event, depth: int) -> NoReturn:
        """Stop reading: libyaml's time grows with the square of the depth."""
        what = f"more than {MAX_DEPTH} levels deep" if depth > MAX_DEPTH else f"more than {MAX_VALUES} values long"
        raise MarkedYAMLError(problem=f"the document is {what}", problem_mark=cast("Any", event.start_mark))

    def _mapping(self, path: str, depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        seen: dict[str, int] = {}
        while not isinstance(event := next(self._events), MappingEndEvent):
            if isinstance(event, ScalarEvent) and self._tag(event) == "merge":
                merged = {**self._merged(path, depth), **merged}
                continue
            key, line = self._key(event, path, depth), line_of(event)
            here = paths.child(path, key)
            if key in seen:
                problem = f'key "{paths.shorten(key)}" is set twice, first on line {seen[key]}'
                self._wrong(event, here, problem, "keep one of the two")
            seen.setdefault(key, line)
            self.lines[here] = line
            result[key] = self.read(next(self._events), here, depth + 1)
        return {**merged, **result}

    def _merged(self, path: str, depth: int) -> dict[str, Any]:
        """What `<<` adds: an object, or several of which the first has precedence."""
        event = next(self._events)
        value = self.read(event, path, depth + 1)
        sources = [as_object(item) for item in as_array(value) or [value]]
        if None in sources:
            self._wrong(event, path, "`<<` merges objects only")
        merged: dict[str, Any] = {}
        for source in sources:
            merged = {**(source or {}), **merged}
        return merged

    def _key(self, event: Event, path: str, depth: int) -> str:
        if isinstance(event, ScalarEvent):
            return str(event.value)
        value = self.read(event, path, depth + 1)
        if not isinstance(value, str):
            self._wrong(event, path, "a key must be a string, not an object or array")
        return value if isinstance(value, str) else "?"

    def _sequence(self, path: str, depth: int) -> list[Any]:
        result: list[Any] = []
        while not isinstance(event := next(self._events), SequenceEndEvent):
            here = paths.child(path, len(result))
            self.lines[here] = line_of(event)
            result.append(self.read(event, here, depth + 1))
        return result

    def _scalar(self, event: ScalarEvent, path: str) -> Any:
        tag, text = self._tag(event), str(event.value)
        if tag in _AS_TEXT or (tag in ("int", "float") and ":" in text):
            return text
        if tag == "null":
            return None
        if tag == "bool":
            return _BOOLEANS.get(text.lower(), text)
        if tag in ("int", "float"):
            return self._number(event, tag, path)
        self._wrong(event, path, f"unknown YAML tag {tag}", "leave the tag out")
        return text

    def _number(self, event: ScalarEvent, tag: str, path: str) -> int | float | str:
        node = ScalarNode(f"{_TAG}{tag}", event.value)
        try:
            read = self._numbers.construct_yaml_int if tag == "int" else self._numbers.construct_yaml_float
            number: int | float = read(node)
        except (ValueError, OverflowError, IndexError):
            number = math.nan
        if isinstance(number, float) and not math.isfinite(number):
            shown = paths.shorten(str(event.value))
            self._wrong(event, path, f'"{shown}" is no number that JSON can hold', "put it in quotes")
            return str(event.value)
        return number

    def _tag(self, event: ScalarEvent) -> str:
        tag = event.tag
        if tag is None or tag == "!":
            tag = self._resolve(ScalarNode, event.value, event.implicit)
            if event.implicit[0] and _EXPONENT.fullmatch(str(event.value)):
                return "float"
        return tag.removeprefix(_TAG)

    def _wrong(self, event: Event, path: str, problem: str, remedy: str = "") -> None:
        line = line_of(event)
        self.violations.append(Violation(file=self.file, line=line, path=path, problem=problem, remedy=remedy))


def line_of(event: Event) -> int:
    """The line that an event begins on, counted from 1."""
    return event.start_mark.line + 1 if event.start_mark else 0


def _depth(value: Any) -> int:
    fields = as_object(value)
    items = list(fields.values()) if fields is not None else as_array(value)
    return 0 if items is None else 1 + max((_depth(item) for item in items), default=0)
