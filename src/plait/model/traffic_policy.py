"""How calls to a destination are treated: the blocks of a DestinationRule's trafficPolicy, as far as they were given.

A block that is None was not mentioned: then what holds without any DestinationRule holds. Times are in seconds.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from plait.model.ids import ObjectName, Origin
from plait.model.protection import Ejection


class Algorithm(StrEnum):
    """How an endpoint is chosen."""

    LEAST_REQUEST = "least-request"
    ROUND_ROBIN = "round-robin"
    RANDOM = "random"
    RING_HASH = "ring-hash"
    MAGLEV = "maglev"
    PASSTHROUGH = "passthrough"
    """Not at all: the address that the app dialled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HashCookie:
    """A cookie that decides; with `lifetime` it is made where a request has none (0: for the client's session)."""

    name: str
    path: str = ""
    lifetime: float | None = None
    attributes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HashKey:
    """What of a call decides which endpoint takes it: exactly one of these."""

    header: str = ""
    cookie: HashCookie | None = None
    source_address: bool = False
    query: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowStart:
    """New endpoints get their share step by step, from `minimum` per cent, faster at first above an aggression of 1."""

    duration: float
    minimum: float = 10.0
    aggression: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalityPreference:
    """Which localities take calls: fixed shares, or the nearest first and others when it fails.

    Localities are `region/zone/sub-zone`, in `distribute` also `region/*`. `failover` says which region takes over for
    another; `priority` are labels that endpoints and callers have in common, the most important first.
    """

    enabled: bool = True
    distribute: tuple[tuple[str, tuple[tuple[str, int], ...]], ...] = ()
    failover: tuple[tuple[str, str], ...] = ()
    priority: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Balancer:
    """How an endpoint is chosen; `size` is that of a hash ring (at least) or Maglev table, 0 the usual one."""

    algorithm: Algorithm = Algorithm.LEAST_REQUEST
    key: HashKey | None = None
    size: int = 0
    slow_start: SlowStart | None = None
    locality: LocalityPreference | None = None


class HttpVersion(StrEnum):
    """Which HTTP is spoken to a destination."""

    ONE = "http/1.1"
    TWO = "h2"
    CALLERS = "as the caller"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Connections to a destination; None is what holds without a rule.

    `max_...` are limits of one proxy. `idle_timeout` is of HTTP connections, `stream_idle_timeout` of others, 0 never.
    """

    max_connections: int | None = None
    max_pending: int | None = None
    max_requests: int | None = None
    max_retries: int | None = None
    requests_per_connection: int | None = None
    streams_per_connection: int | None = None
    connect_timeout: float | None = None
    max_duration: float | None = None
    idle_timeout: float | None = None
    stream_idle_timeout: float | None = None
    probes: tuple[int | None, float | None, float | None] | None = None
    """TCP keepalive: how many probes, the idle time before the first, the time between them."""
    pings: tuple[float | None, float | None] | None = None
    """HTTP/2 keepalive: the time between pings, the time for their answer."""
    version: HttpVersion | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outliers:
    """Which endpoints are left out for a while, and the share of healthy ones (per cent) below which all are used."""

    ejection: Ejection
    panic_threshold: float = 0.0


class TlsMode(StrEnum):
    """Whether a destination is called with TLS."""

    OFF = "off"
    OWN = "own"
    """TLS as the rule describes it."""
    MESH = "mesh"
    """The mesh's mutual TLS, by whatever endpoint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamTls:
    """TLS towards a destination.

    Its certificate must be signed by one of `authorities` (PEM; None: those of the machine's system) and prove one of
    `names` (host names, or URIs), unless `verified` is false. `certificate` is what the caller proves itself by.
    With a `problem` nothing can be called, since it is not known how.
    """

    mode: TlsMode
    server_name: str = ""
    names: tuple[str, ...] = ()
    authorities: bytes | None = None
    credential: str = ""
    """Secret of the caller's namespace with the authorities, and the certificate if `proves` is true."""
    proves: bool = False
    certificate: ObjectName | None = None
    verified: bool = True
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tunnel:
    """Connections go through an HTTP proxy at the destination, to `host:port` behind it."""

    host: str
    port: int
    post: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryBudget:
    """Retries under way, in per cent of the requests under way; `minimum` are always allowed."""

    percent: float = 20.0
    minimum: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficPolicy:
    """The blocks that were given for a destination or one of its ports; `ports` replace it for theirs."""

    balancer: Balancer | None = None
    pool: Pool | None = None
    outliers: Outliers | None = None
    tls: UpstreamTls | None = None
    tunnel: Tunnel | None = None
    proxy_protocol: str = ""
    """V1 or V2; empty for none."""
    retry_budget: RetryBudget | None = None
    ports: tuple[tuple[int, "TrafficPolicy"], ...] = ()
    origin: Origin

    def at(self, port: int) -> "TrafficPolicy":
        """The policy for a port: the one that was given for it, from which nothing is inherited, else this."""
        return next((policy for number, policy in self.ports if number == port), replace(self, ports=()))

    def over(self, general: "TrafficPolicy | None") -> "TrafficPolicy":
        """This policy, with the blocks that it does not mention taken from a more general one."""
        if general is None:
            return self
        return replace(
            self,
            balancer=self.balancer or general.balancer,
            pool=self.pool or general.pool,
            outliers=self.outliers or general.outliers,
            tls=self.tls or general.tls,
            tunnel=self.tunnel or general.tunnel,
            proxy_protocol=self.proxy_protocol or general.proxy_protocol,
            retry_budget=self.retry_budget or general.retry_budget,
        )


def policy_at(port: int, general: TrafficPolicy | None, of_subset: TrafficPolicy | None) -> TrafficPolicy | None:
    """The policy for a port of a subset: each of its blocks before that of the whole service."""
    above = general.at(port) if general else None
    return of_subset.at(port).over(above) if of_subset else above
