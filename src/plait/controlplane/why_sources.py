"""From the names that a decision bears in Envoy's configuration back to the objects and lines that it came from."""

import re
from collections.abc import Callable

from plait.api import schemas
from plait.model.ids import Origin

_ORIGIN = re.compile(r"(?P<kind>\S+) (?P<namespace>[^/\s]*)/(?P<name>\S+) ?(?P<path>.*)")
_RULE = re.compile(r"(?P<namespace>[^/]+)/(?P<name>[^\[]+)\[(?P<index>\d+)\]")

Locate = Callable[[Origin], Origin]
"""Adds file and line to an origin, as far as they are known."""


class Sources:
    """Finds the object, and its line in the user's file, behind a decision."""

    def __init__(self, locate: Locate) -> None:
        self._locate = locate

    def route(self, text: str) -> schemas.Source | None:
        """The rule of a route, by the origin in its metadata; None for what is no origin."""
        match = _ORIGIN.fullmatch(text)
        if match is None:
            return None
        return self.of(Origin(kind=match["kind"], namespace=match["namespace"], name=match["name"], path=match["path"]))

    def policy(self, rule: str) -> schemas.Source | None:
        """The rule of an AuthorizationPolicy, by the name that it has in Envoy; None for what is no such name."""
        match = _RULE.fullmatch(rule)
        if match is None:
            return None
        origin = Origin(
            kind="AuthorizationPolicy",
            namespace=match["namespace"],
            name=match["name"],
            path=f"spec.rules[{match['index']}]",
        )
        return self.of(origin)

    def of(self, origin: Origin) -> schemas.Source:
        """An object's part as `plait why` answers it."""
        found = self._locate(origin)
        return schemas.Source(
            kind=found.kind,
            namespace=found.namespace,
            name=found.name,
            path=found.path,
            file=found.file,
            line=found.line,
        )
