"""Routes as users declared them, of every kind of Gateway API, before their references are looked up."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from plait.model.authorizer import Question
from plait.model.cors import Cors
from plait.model.ids import ObjectName, Origin
from plait.model.traffic import HeaderChange, Redirect, Rewrite, Rule
from plait.snapshot.conditions import Problem
from plait.snapshot.declared import Reference

NO_HEADERS: Final = HeaderChange()


class RouteKind(StrEnum):
    """The kinds of routes, the more specific first: of several kinds at one port of a Service it alone acts."""

    GRPC = "GRPCRoute"
    HTTP = "HTTPRoute"
    TLS = "TLSRoute"
    TCP = "TCPRoute"

    @property
    def of_requests(self) -> bool:
        """Whether it routes requests; else it routes connections."""
        return self in (RouteKind.GRPC, RouteKind.HTTP)


SPECIFICITY: Final = tuple(RouteKind)
RouteKey = tuple[RouteKind, ObjectName]


@dataclass(frozen=True, slots=True, kw_only=True)
class ParentRef:
    """What a route wants to attach to; `written` is the reference as the user wrote it."""

    group: str
    kind: str
    name: ObjectName
    section: str = ""
    port: int = 0
    written: tuple[tuple[str, str | int], ...] = ()

    @property
    def reference(self) -> Reference:
        """The object it names."""
        return self.group, self.kind, self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendRef:
    """Where a share of a rule's traffic goes, or a copy of it; `unsupported` says what about it is not done.

    `mirrors` are copies of this share only.
    """

    group: str
    kind: str
    name: ObjectName
    port: int
    weight: int = 1
    request_headers: HeaderChange = NO_HEADERS
    response_headers: HeaderChange = NO_HEADERS
    numerator: int = 100
    denominator: int = 100
    redirect: Redirect | None = None
    rewrite: Rewrite | None = None
    cors: Cors | None = None
    mirrors: tuple["BackendRef", ...] = ()
    unsupported: str = ""
    origin: Origin | None = None

    @property
    def reference(self) -> Reference:
        """The object it names."""
        return self.group, self.kind, self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredAuthorizer:
    """Who is asked whether a request is allowed, and how."""

    backend: BackendRef
    question: Question


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredRule:
    """One rule of a route: one `Rule` a match, without destinations and mirrors, and the references to resolve."""

    matches: tuple[Rule, ...]
    backends: tuple[BackendRef, ...]
    mirrors: tuple[BackendRef, ...]
    authorizer: DeclaredAuthorizer | None = None
    name: str = ""
    """Its name, or its place in the route."""
    origin: Origin | None = None
    problems: tuple[Problem, ...] = ()
    """What of the rule cannot be done; such a rule answers 500 (or closes connections)."""
    dropped: tuple[Problem, ...] = ()
    """What of it is left out although the rest holds."""
    ranks: tuple[tuple[int, ...], ...] = ()
    """The place of each match where its kind of route has a precedence of its own."""

    @property
    def references(self) -> Iterator[BackendRef]:
        """Everything that requests of the rule, copies of them, and questions about them are sent to."""
        yield from self.backends
        yield from self.mirrors
        for backend in self.backends:
            yield from backend.mirrors
        if self.authorizer is not None:
            yield self.authorizer.backend


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredRoute:
    """A route of any kind; those of connections have one rule, and `hostnames` are server names."""

    kind: RouteKind = RouteKind.HTTP
    name: ObjectName
    generation: int
    created: float
    parents: tuple[ParentRef, ...]
    hostnames: tuple[str, ...]
    rules: tuple[DeclaredRule, ...]

    @property
    def key(self) -> RouteKey:
        """Its place among all routes."""
        return self.kind, self.name

    @property
    def backends(self) -> frozenset[Reference]:
        """Every object that a rule sends to."""
        return frozenset(ref.reference for rule in self.rules for ref in rule.references)
