"""YAML nodes become JSON values; the line of each is kept, and what JSON cannot hold is a violation.

One `Reader` reads one document. Aliases are followed with a bound on the total number of values, so that a few lines
that refer to each other cannot fill the memory.
"""

import math
from typing import Any

from yaml.constructor import SafeConstructor
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from plait.resources import paths
from plait.resources.values import as_object
from plait.resources.violations import Violation

MAX_VALUES = 500_000
"""Most values in one document, aliases followed."""
MAX_DEPTH = 100
"""Deepest nesting."""
_TAG = "tag:yaml.org,2002:"
_AS_TEXT = frozenset({"str", "timestamp", "binary", "value"})
_BOOLEANS = {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}


class Reader:
    """Reads one document; collects `lines` by path and `violations`."""

    def __init__(self, *, file: str) -> None:
        self.file = file
        self.lines: dict[str, int] = {}
        self.violations: list[Violation] = []
        self._values = 0
        self._numbers = SafeConstructor()

    def read(self, node: Node, path: str = "", depth: int = 0) -> Any:
        """The value of a node."""
        self._values += 1
        if depth > MAX_DEPTH or self._values > MAX_VALUES:
            if self._values <= MAX_VALUES or not self.violations:
                what = "nested too deeply" if depth > MAX_DEPTH else f"more than {MAX_VALUES} values"
                self._wrong(node, path, what)
            return None
        if isinstance(node, MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, SequenceNode):
            return self._sequence(node, path, depth)
        return self._scalar(node, path) if isinstance(node, ScalarNode) else None

    def kind_of(self, node: Node) -> str:
        """What a node is, in JSON's words."""
        if isinstance(node, SequenceNode):
            return "array"
        return {"int": "integer", "float": "number", "bool": "boolean"}.get(self._tag(node), "string")

    def _mapping(self, node: MappingNode, path: str, depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        seen: dict[str, int] = {}
        for key_node, value_node in node.value:
            if self._tag(key_node) == "merge":
                for part in self._merged(value_node, path, depth):
                    merged = {**part, **merged}
                continue
            key = self._key(key_node, path)
            line = key_node.start_mark.line + 1
            here = paths.child(path, key)
            if key in seen:
                problem = f'key "{key}" is set twice, first on line {seen[key]}'
                self._wrong(key_node, here, problem, "keep one of the two")
            seen.setdefault(key, line)
            self.lines[here] = line
            result[key] = self.read(value_node, here, depth + 1)
        return {**merged, **result}

    def _merged(self, node: Node, path: str, depth: int) -> list[dict[str, Any]]:
        sources = node.value if isinstance(node, SequenceNode) else [node]
        values = [as_object(self.read(source, path, depth + 1)) for source in sources]
        good = [value for value in values if value is not None]
        if len(good) < len(values):
            self._wrong(node, path, "`<<` merges objects only")
        return good

    def _key(self, node: Node, path: str) -> str:
        if isinstance(node, ScalarNode):
            return str(node.value)
        self._wrong(node, path, "a key must be a string, not an object or array")
        return "?"

    def _sequence(self, node: SequenceNode, path: str, depth: int) -> list[Any]:
        result: list[Any] = []
        for index, item in enumerate(node.value):
            here = paths.child(path, index)
            self.lines[here] = item.start_mark.line + 1
            result.append(self.read(item, here, depth + 1))
        return result

    def _scalar(self, node: ScalarNode, path: str) -> Any:
        tag, text = self._tag(node), str(node.value)
        if tag in _AS_TEXT or (tag in ("int", "float") and ":" in text):
            return text
        if tag == "null":
            return None
        if tag == "bool":
            return _BOOLEANS.get(text.lower(), text)
        if tag in ("int", "float"):
            return self._number(node, tag, path)
        self._wrong(node, path, f"unknown YAML tag {node.tag}", "leave the tag out")
        return text

    def _number(self, node: ScalarNode, tag: str, path: str) -> int | float | str:
        try:
            number = (
                self._numbers.construct_yaml_int(node) if tag == "int" else self._numbers.construct_yaml_float(node)
            )
        except (ValueError, OverflowError, IndexError):
            self._wrong(node, path, f'"{str(node.value)[:40]}" is no number that JSON can hold', "put it in quotes")
            return str(node.value)
        if isinstance(number, float) and not math.isfinite(number):
            self._wrong(node, path, f'"{node.value}" is no number that JSON can hold', "put it in quotes")
            return str(node.value)
        return number

    def _tag(self, node: Node) -> str:
        return str(node.tag).removeprefix(_TAG)

    def _wrong(self, node: Node, path: str, problem: str, remedy: str = "") -> None:
        line = node.start_mark.line + 1
        self.violations.append(Violation(file=self.file, line=line, path=path, problem=problem, remedy=remedy))
