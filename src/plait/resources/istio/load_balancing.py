"""How a DestinationRule chooses endpoints."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from plait.resources.formats import IstioDuration
from plait.resources.istio.matches import Names, Percentage
from plait.resources.schema import Boolean, Finding, Model, Unsigned, choice, when

Aggression = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]


class CookieAttribute(Model):
    """An attribute of a cookie."""

    name: str
    """Its name."""
    value: str = ""
    """Its value."""


class HTTPCookie(Model):
    """A cookie that decides."""

    name: str
    """Its name."""
    path: str = ""
    """Its path."""
    ttl: str | None = None
    """How long it lasts; with it the cookie is made if missing."""
    attributes: tuple[CookieAttribute, ...] = ()
    """Further attributes."""


class RingHash(Model):
    """A hash ring."""

    minimum_ring_size: Annotated[int, Field(strict=True, ge=0)] | None = None
    """Least number of places on the ring."""


class Maglev(Model):
    """A Maglev table."""

    table_size: Annotated[int, Field(strict=True, ge=0)] | None = None
    """Size of the table, a prime."""


class ConsistentHash(Model):
    """Sends the same caller to the same endpoint."""

    http_header_name: str | None = None
    """A header that decides."""
    http_cookie: HTTPCookie | None = None
    """A cookie that decides."""
    use_source_ip: Boolean | None = None
    """Whether the caller's address decides."""
    http_query_parameter_name: str | None = None
    """A query parameter that decides."""
    ring_hash: RingHash | None = None
    """A hash ring."""
    maglev: Maglev | None = None
    """A Maglev table."""
    minimum_ring_size: Annotated[int, Field(strict=True, ge=0)] | None = None
    """Old form of ringHash."""

    def broken(self) -> Iterator[Finding]:
        """One thing decides, by one algorithm."""
        yield from choice(
            ("httpHeaderName", self.http_header_name is not None),
            ("httpCookie", self.http_cookie is not None),
            ("useSourceIp", self.use_source_ip is not None),
            ("httpQueryParameterName", self.http_query_parameter_name is not None),
        )
        yield from choice(("ringHash", self.ring_hash is not None), ("maglev", self.maglev is not None))


class Distribute(Model):
    """Shares for the callers of a locality."""

    from_: str = ""
    """Locality of the callers."""
    to: dict[str, Unsigned] = Field(default_factory=dict[str, int])
    """Share in percent by locality."""

    def broken(self) -> Iterator[Finding]:
        """Shares are of one hundred."""
        yield from when(sum(self.to.values()) != 100, "total locality weight must be 100", "to")


class Failover(Model):
    """Where callers of a region go when it fails."""

    from_: str = ""
    """Region of the callers."""
    to: str = ""
    """Region that takes over."""


class LocalityLoadBalancerSetting(Model):
    """Balancing by locality."""

    distribute: tuple[Distribute, ...] = ()
    """Shares by locality."""
    failover: tuple[Failover, ...] = ()
    """Which region takes over."""
    failover_priority: Names = ()
    """Labels that order endpoints by nearness."""
    enabled: Boolean | None = None
    """Whether it is on."""

    def broken(self) -> Iterator[Finding]:
        """Distribution excludes failover."""
        yield from choice(("distribute", bool(self.distribute)), ("failover", bool(self.failover)))
        yield from choice(("distribute", bool(self.distribute)), ("failoverPriority", bool(self.failover_priority)))


class ZoneAwareLoadBalancerSetting(Model):
    """Balancing that prefers the own zone."""

    enabled: Boolean | None = None
    """Whether it is on."""
    failover: tuple[Failover, ...] = ()
    """Which region takes over."""
    failover_priority: Names = ()
    """Labels that order endpoints by nearness."""
    min_cluster_size: Annotated[int, Field(strict=True, ge=1)] | None = None
    """Least number of endpoints."""


class Warmup(Model):
    """More traffic step by step for new endpoints."""

    duration: IstioDuration
    """How long."""
    minimum_percent: Percentage | None = None
    """Share at the start."""
    aggression: Aggression | None = None
    """How fast it grows."""


class LoadBalancerSettings(Model):
    """How endpoints are chosen."""

    simple: Literal["UNSPECIFIED", "LEAST_CONN", "RANDOM", "PASSTHROUGH", "ROUND_ROBIN", "LEAST_REQUEST"] | None = None
    """A simple algorithm."""
    consistent_hash: ConsistentHash | None = None
    """Sends the same caller to the same endpoint."""
    locality_lb_setting: LocalityLoadBalancerSetting | None = None
    """Balancing by locality."""
    zone_aware_lb_setting: ZoneAwareLoadBalancerSetting | None = None
    """Balancing that prefers the own zone."""
    warmup_duration_secs: IstioDuration | None = None
    """Old form of warmup."""
    warmup: Warmup | None = None
    """More traffic step by step for new endpoints."""

    def broken(self) -> Iterator[Finding]:
        """There is one algorithm."""
        yield from choice(("simple", self.simple is not None), ("consistentHash", self.consistent_hash is not None))
