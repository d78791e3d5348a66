"""What keeps a service alive when it is asked for more than it can do, or when some of its endpoints fail.

`CallerProtection` is kept by each caller's sidecar towards the service, so it costs the server's side nothing and needs
no look at requests there. `ServerProtection` is kept by each instance's own sidecar, against the sum of all callers.
Either may be filled from more than one kind of object; `origins` say which fields of which objects did.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from plait.model.ids import ObjectName, Origin

IDLE_TOWARDS_AN_APP: Final = 1.5
"""Seconds, below the keep-alive of common servers (gunicorn closes after 2 s)."""
SHARED_TIMEOUT: Final = 0.05
"""Seconds that a request waits to be counted, unless its service says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ejection:
    """When an endpoint is left out for a while; 0 failures of a sort: not for these.

    `connection_failures`, `gateway_errors` (502, 503, 504) and `server_errors` (5xx) are counted in a row. The first is
    usually so many because Envoy counts requests that time out there too: where they do while others begin, runs of
    five are common and runs of twenty are not. An endpoint is left out for `duration` seconds times the number of times
    it was, at most `longest`, but never more than `max_share` per cent of all endpoints at a time, so below 100 never
    the only one.
    """

    connection_failures: int = 20
    gateway_errors: int = 0
    server_errors: int = 0
    interval: float = 1.0
    duration: float = 5.0
    longest: float = 60.0
    max_share: int = 50
    split: bool = True
    """Whether failures to connect count apart; if not, they count as server errors and gateway errors."""
    codes: tuple[int, ...] = ()
    """The answers that count as server errors, if not 5xx."""
    at_least_one: bool = False
    """Whether one endpoint is left out however small that share is, even the only one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerProtection:
    """What each caller's sidecar keeps to towards a service; None is no limit.

    `retry_budget` (per cent of the requests under way that may be retries, `min_retries` always) replaces
    `max_retries`. Below `panic_threshold` per cent of healthy endpoints all are used. `idle_timeout` is in seconds, for
    connections whose other end is the app.
    """

    max_connections: int | None = None
    max_requests: int | None = None
    max_pending: int | None = None
    max_retries: int | None = None
    retry_budget: float | None = None
    min_retries: int = 3
    ejection: Ejection | None = Ejection()
    panic_threshold: float = 0.0
    idle_timeout: float | None = None
    origins: tuple[Origin, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """`count` requests (or connections) in each `per` seconds, of which `burst` may come at once."""

    count: int
    per: float
    burst: int

    @property
    def per_second(self) -> float:
        """The rate in one second."""
        return self.count / self.per


class CountedBy(StrEnum):
    """What requests have in common that are counted together."""

    ALL = "all"
    CALLER = "caller"
    ADDRESS = "address"
    HEADER = "header"
    PATH = "path"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """`count` requests in `per` seconds."""

    count: int
    per: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedLimit:
    """What all instances of a service take together, counted in one place.

    `of` is the header whose values are counted apart, or the path below which all requests are counted together. Every
    quota must have room.
    """

    service: ObjectName
    counted_by: CountedBy
    quotas: tuple[Quota, ...]
    of: str = ""

    @property
    def id(self) -> str:
        """What tells it from the service's other limits."""
        return f"{self.counted_by}:{self.of}" if self.of else str(self.counted_by)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerProtection:
    """What each instance's sidecar keeps to, in requests where the port speaks HTTP, in connections elsewhere.

    `concurrency` is how many the app works on at a time, `queue` how many more wait (HTTP/1 only); `adaptive` finds
    that number from the app's latency, of which `usual_latency` (seconds) is the unloaded one, measured if None.
    `admission_control` holds requests back as far as the app fails to answer others. For `shared` limits each request
    asks whoever counts; without an answer in `shared_timeout` seconds it passes, or is refused if `shared_denies`.
    """

    concurrency: int | None = None
    queue: int | None = None
    adaptive: bool = False
    usual_latency: float | None = None
    rate: RateLimit | None = None
    admission_control: bool = False
    shared: tuple[SharedLimit, ...] = ()
    shared_timeout: float = SHARED_TIMEOUT
    shared_denies: bool = False
    origins: tuple[Origin, ...] = ()

    @property
    def asks(self) -> bool:
        """Whether anything is limited."""
        limited = self.concurrency is not None or self.rate is not None or bool(self.shared)
        return limited or self.adaptive or self.admission_control


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """Both sides of a service's protection."""

    callers: CallerProtection = CallerProtection()
    server: ServerProtection = ServerProtection()


DEFAULT: Final = Protection()
"""What holds where nobody asked for anything: endpoints that cannot be connected to are left out for a while."""
