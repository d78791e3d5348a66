"""Routing: an ordered list of rules per frontend; the first rule whose match holds decides.

How a list was ordered (Gateway API's precedence, VirtualService's own order) is no longer visible here.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum

from plait.model.authorizer import Authorizer
from plait.model.cors import Cors
from plait.model.faults import Fault
from plait.model.ids import ClusterKey, ObjectName, Origin
from plait.model.l4 import L4Rule
from plait.model.matching import Matching, StringMatch
from plait.model.services import Labels, Protocol
from plait.model.sessions import SessionPersistence


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedMatch:
    """A comparison of one header or query parameter; header names are lower case."""

    name: str
    match: StringMatch
    inverted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestMatch:
    """What a request must be for a rule to apply: every condition given holds.

    `authority` is the Host as the caller wrote it, with its port if it has one; `scheme` is `http` or `https`.
    `ignore_path_case` compares the path without regard to case, but for expressions.
    """

    path: StringMatch = field(default=StringMatch(matching=Matching.PREFIX, value="/"))
    ignore_path_case: bool = False
    method: StringMatch | None = None
    scheme: StringMatch | None = None
    authority: StringMatch | None = None
    headers: tuple[NamedMatch, ...] = ()
    query: tuple[NamedMatch, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderChange:
    """Changes of headers, applied in the order set, add, remove."""

    set: tuple[tuple[str, str], ...] = ()
    add: tuple[tuple[str, str], ...] = ()
    remove: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.set or self.add or self.remove)


@dataclass(frozen=True, slots=True, kw_only=True)
class PathChange:
    """A new path: the whole of it, or (prefix) only the part the rule's prefix matched.

    With `pattern` (RE2) every part that it matches becomes `value`, in which `\\1` is the first group.
    """

    value: str
    prefix: bool = False
    pattern: str = ""


class RedirectPort(StrEnum):
    """Which port a redirect names if it gives none."""

    LISTENER = "listener"
    """Gateway API: that of the new scheme, else the one that was dialled."""
    PROTOCOL = "protocol"
    """The scheme's own where the host is new, else the one in the request's Host."""
    REQUEST = "request"
    """The one that was dialled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirect:
    """An answer that sends the client elsewhere; None and 0 keep the request's own part."""

    scheme: str = ""
    hostname: str = ""
    path: PathChange | None = None
    port: int = 0
    port_of: RedirectPort = RedirectPort.LISTENER
    status: int = 302


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrite:
    """What the backend sees instead of the request's host and path."""

    hostname: str = ""
    path: PathChange | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirror:
    """A copy of requests, its answer discarded; the share is numerator / denominator."""

    cluster: ClusterKey
    numerator: int = 100
    denominator: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """A share of a rule's traffic; `cluster` is None where the reference is broken (that share gets `status`).

    What it has of `redirect`, `rewrite` and `cors` is in place of the rule's; `mirrors` come on top of the rule's.
    """

    cluster: ClusterKey | None
    weight: int = 1
    request_headers: HeaderChange = HeaderChange()
    response_headers: HeaderChange = HeaderChange()
    redirect: Redirect | None = None
    rewrite: Rewrite | None = None
    mirrors: tuple[Mirror, ...] = ()
    cors: Cors | None = None
    status: int = 500
    origin: Origin | None = None

    @property
    def differs(self) -> bool:
        """Whether its requests are treated otherwise than the rule's, but for headers."""
        return bool(self.redirect or self.rewrite or self.mirrors or self.cors)

    @property
    def clusters(self) -> Iterator[ClusterKey]:
        """Every cluster that its requests, or copies of them, may reach."""
        if self.cluster is not None:
            yield self.cluster
        yield from (mirror.cluster for mirror in self.mirrors)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """When a request is tried again. `attempts` counts retries after the first try (0: never); times in seconds.

    `other_hosts` prefers endpoints that were not tried yet, `other_localities` localities that were not.
    """

    attempts: int = 1
    codes: tuple[int, ...] = ()
    on: tuple[str, ...] = ("connect-failure", "refused-stream", "reset-before-request")
    backoff: float = 0.025
    per_try_timeout: float | None = None
    other_hosts: bool = True
    other_localities: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Callers:
    """The callers that a rule is for: of this namespace, with these labels; empty for all."""

    namespace: str = ""
    labels: Labels = ()

    def __bool__(self) -> bool:
        return bool(self.namespace or self.labels)

    def include(self, namespace: str, labels: Labels) -> bool:
        """Whether a caller of that namespace with these labels is one of them."""
        return self.namespace in ("", namespace) and set(self.labels) <= set(labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One entry of a frontend's list. Exactly one of redirect, status or destinations answers.

    `body` goes with `status`; None is a sentence of our own for errors. `hostnames` (gateways only) are the hosts it
    applies to, empty for all. `timeout` is the whole request's, `backend_timeout` one try's, `grpc_timeout` the most
    that a caller's own `grpc-timeout` may ask for, in seconds; None is unset, 0 is unlimited.
    `callers` is decided before a proxy gets the rule. Its `authorizer` must allow a request.
    """

    name: str
    match: RequestMatch = RequestMatch()
    destinations: tuple[Destination, ...] = ()
    redirect: Redirect | None = None
    status: int | None = None
    body: bytes | None = None
    fault: Fault | None = None
    request_headers: HeaderChange = HeaderChange()
    response_headers: HeaderChange = HeaderChange()
    rewrite: Rewrite | None = None
    mirrors: tuple[Mirror, ...] = ()
    timeout: float | None = None
    backend_timeout: float | None = None
    grpc_timeout: float | None = None
    retry: Retry | None = None
    cors: Cors | None = None
    authorizer: Authorizer | None = None
    session: SessionPersistence | None = None
    hostnames: tuple[str, ...] = ()
    callers: Callers = Callers()
    origin: Origin | None = None

    @property
    def clusters(self) -> Iterator[ClusterKey]:
        """Every cluster that its requests, copies of them, or questions about them may reach."""
        for destination in self.destinations:
            yield from destination.clusters
        yield from (mirror.cluster for mirror in self.mirrors)
        if self.authorizer is not None:
            yield self.authorizer.cluster


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRules:
    """The rules of one VirtualService for a frontend, and the namespaces that see them (empty for all).

    One without any rule for a caller is as if it were not there for that caller.
    """

    namespaces: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    l4_rules: tuple[tuple[Callers, L4Rule], ...] = ()

    def seen_from(self, namespace: str) -> bool:
        """Whether callers of that namespace see them."""
        return not self.namespaces or namespace in self.namespaces


@dataclass(frozen=True, slots=True, kw_only=True)
class Frontend:
    """One address:port that callers dial, with the rules that decide where a call goes.

    `rules` are for every caller; `consumer_rules` replace them for callers of the given namespace.
    `attached` says that a route names this frontend, so that a request matching no rule gets 404.
    Without such a route the first of `host_rules` that the caller's namespace sees decides, in the same way;
    without any, everything goes to `default`. Where the protocol is no HTTP, `l4_rules` and `consumer_l4_rules` take
    the place of all, and a connection that matches none is closed.
    """

    service: ObjectName
    host: str
    address: str
    port: int
    protocol: Protocol
    default: ClusterKey
    rules: tuple[Rule, ...] = ()
    attached: bool = False
    consumer_rules: tuple[tuple[str, tuple[Rule, ...]], ...] = ()
    l4_rules: tuple[L4Rule, ...] = ()
    consumer_l4_rules: tuple[tuple[str, tuple[L4Rule, ...]], ...] = ()
    host_rules: tuple[HostRules, ...] = ()

    def rules_for(self, namespace: str, labels: Labels = ()) -> tuple[tuple[Rule, ...], bool]:
        """The rules for a caller of that namespace, and whether a request that matches none is refused."""
        for consumer, rules in self.consumer_rules:
            if consumer == namespace:
                return rules, True
        if self.attached:
            return self.rules, True
        for item in self.host_rules:
            chosen = tuple(_for_caller(item.rules, namespace, labels))
            if chosen and item.seen_from(namespace):
                return chosen, True
        return self.rules, False

    @property
    def asks_authorizers(self) -> bool:
        """Whether a rule for any caller has an authorizer."""
        consumers = (rule for _, rules in self.consumer_rules for rule in rules)
        hosts = (rule for item in self.host_rules for rule in item.rules)
        return any(rule.authorizer is not None for rule in itertools.chain(self.rules, consumers, hosts))

    def l4_rules_for(self, namespace: str, labels: Labels = ()) -> tuple[tuple[L4Rule, ...], bool]:
        """The rules for connections of a caller of that namespace, and whether one that matches none is closed."""
        for consumer, rules in self.consumer_l4_rules:
            if consumer == namespace:
                return rules, True
        if self.attached:
            return self.l4_rules, True
        for item in self.host_rules:
            chosen = tuple(rule for callers, rule in item.l4_rules if callers.include(namespace, labels))
            if chosen and item.seen_from(namespace):
                return chosen, True
        return self.l4_rules, False


def _for_caller(rules: Iterable[Rule], namespace: str, labels: Labels) -> Iterator[Rule]:
    """The rules that a caller gets, without the condition that chose them."""
    for rule in rules:
        if rule.callers.include(namespace, labels):
            yield replace(rule, callers=Callers()) if rule.callers else rule
