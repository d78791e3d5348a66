"""Comparisons and destinations that Istio's routes are made of."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from plait.resources.istio.admissible import MAXIMUM, broken_header_names, broken_headers
from plait.resources.schema import Finding, Model, Port, broken_regex, choice, when

Names = tuple[str, ...]
Percentage = Annotated[float, Field(strict=True, ge=0, le=100, allow_inf_nan=False)]


class StringMatch(Model):
    """A comparison of a string; without any, it must only be present."""

    exact: str | None = None
    """The whole string."""
    prefix: str | None = None
    """Its beginning (of the string, not of path segments)."""
    regex: str | None = None
    """A regular expression (RE2) for the whole string."""

    def broken(self) -> Iterator[Finding]:
        """There is one comparison; regular expressions are RE2's."""
        yield from choice(
            ("exact", self.exact is not None), ("prefix", self.prefix is not None), ("regex", self.regex is not None)
        )
        if self.regex is not None:
            yield from broken_regex(self.regex, "regex")


class PortSelector(Model):
    """A port of a service."""

    number: Port | None = None
    """The port."""


class Destination(Model):
    """A service that receives traffic."""

    host: Annotated[str, Field(min_length=1)]
    """Name of the service; short names are in the rule's namespace."""
    subset: str | None = None
    """A subset of it, from a DestinationRule."""
    port: PortSelector | None = None
    """Port; needed if the service has more than one."""


class Percent(Model):
    """A share in percent."""

    value: Percentage = 0.0
    """From 0 to 100."""


class HeaderOperations(Model):
    """Changes of headers."""

    set: dict[str, str] = Field(default_factory=dict[str, str])
    """Headers that get this value whatever they had."""
    add: dict[str, str] = Field(default_factory=dict[str, str])
    """Values that are added."""
    remove: Names = ()
    """Names of headers that go."""

    def broken(self) -> Iterator[Finding]:
        """Names are those of headers; values end no line."""
        yield from broken_headers(self.set, "set")
        yield from broken_headers(self.add, "add")
        yield from broken_header_names(self.remove, "remove")


class Headers(Model):
    """Changes of the headers of requests and answers."""

    request: HeaderOperations | None = None
    """Of requests, before they go to the destination."""
    response: HeaderOperations | None = None
    """Of answers, before they go to the caller."""


class RouteDestination(Model):
    """A destination and its share of connections."""

    destination: Destination
    """Where to."""
    weight: Annotated[int, Field(strict=True, ge=0)] = 0
    """Share relative to the sum; ignored with one destination."""


class HTTPRouteDestination(RouteDestination):
    """A destination and its share of requests."""

    headers: Headers | None = None
    """Changes of headers for this share only."""


def broken_weights(destinations: tuple[RouteDestination, ...], field: str) -> Iterator[Finding]:
    """The rule for the weights of several destinations."""
    total = sum(destination.weight for destination in destinations)
    yield from when(len(destinations) > 1 and total == 0, "total destination weight = 0", field)
    yield from when(total > MAXIMUM, f"total destination weight is greater than {MAXIMUM}", field)
