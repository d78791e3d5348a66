"""Routing: an ordered list of rules per frontend; the first rule whose match holds decides.

How a list was ordered (Gateway API's precedence, VirtualService's own order) is no longer visible here.
"""

from dataclasses import dataclass, field

from plait.model.cors import Cors
from plait.model.ids import ClusterKey, ObjectName, Origin
from plait.model.l4 import L4Rule
from plait.model.matching import Matching, StringMatch
from plait.model.services import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedMatch:
    """A comparison of one header or query parameter; header names are lower case."""

    name: str
    match: StringMatch
    inverted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestMatch:
    """What a request must be for a rule to apply: every condition given holds."""

    path: StringMatch = field(default=StringMatch(matching=Matching.PREFIX, value="/"))
    method: str = ""
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
    """A new path: the whole of it, or (prefix) only the part the rule's prefix matched."""

    value: str
    prefix: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirect:
    """An answer that sends the client elsewhere; None and 0 keep the request's own part."""

    scheme: str = ""
    hostname: str = ""
    path: PathChange | None = None
    port: int = 0
    status: int = 302


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrite:
    """What the backend sees instead of the request's host and path."""

    hostname: str = ""
    path: PathChange | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """A share of a rule's traffic; `cluster` is None where the reference is broken (that share gets `status`)."""

    cluster: ClusterKey | None
    weight: int = 1
    request_headers: HeaderChange = HeaderChange()
    response_headers: HeaderChange = HeaderChange()
    status: int = 500
    origin: Origin | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirror:
    """A copy of requests, its answer discarded; the share is numerator / denominator."""

    cluster: ClusterKey
    numerator: int = 100
    denominator: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """When a request is tried again. `attempts` counts retries after the first try; times in seconds."""

    attempts: int = 1
    codes: tuple[int, ...] = ()
    on: tuple[str, ...] = ("connect-failure", "refused-stream", "reset-before-request")
    backoff: float = 0.025
    per_try_timeout: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One entry of a frontend's list. Exactly one of redirect, status or destinations answers.

    `hostnames` (gateways only) are the hosts it applies to, empty for all. `timeout` is the whole
    request's, `backend_timeout` one try's, in seconds; None is unset, 0 is unlimited.
    """

    name: str
    match: RequestMatch = RequestMatch()
    destinations: tuple[Destination, ...] = ()
    redirect: Redirect | None = None
    status: int | None = None
    request_headers: HeaderChange = HeaderChange()
    response_headers: HeaderChange = HeaderChange()
    rewrite: Rewrite | None = None
    mirrors: tuple[Mirror, ...] = ()
    timeout: float | None = None
    backend_timeout: float | None = None
    retry: Retry | None = None
    cors: Cors | None = None
    hostnames: tuple[str, ...] = ()
    origin: Origin | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Frontend:
    """One address:port that callers dial, with the rules that decide where a call goes.

    `rules` are for every caller; `consumer_rules` replace them for callers of the given namespace.
    `attached` says that a route names this frontend, so that a request matching no rule gets 404;
    without one, everything goes to `default`. Where the protocol is no HTTP, `l4_rules` and `consumer_l4_rules` take
    the place of both, and a connection that matches none is closed.
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

    def rules_for(self, namespace: str) -> tuple[tuple[Rule, ...], bool]:
        """The rules for a caller of that namespace, and whether a request that matches none is refused."""
        for consumer, rules in self.consumer_rules:
            if consumer == namespace:
                return rules, True
        return self.rules, self.attached

    def l4_rules_for(self, namespace: str) -> tuple[tuple[L4Rule, ...], bool]:
        """The rules for connections of a caller of that namespace, and whether one that matches none is closed."""
        for consumer, rules in self.consumer_l4_rules:
            if consumer == namespace:
                return rules, True
        return self.l4_rules, self.attached
