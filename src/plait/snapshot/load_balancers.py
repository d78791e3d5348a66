"""How a DestinationRule chooses endpoints, to the model."""

from typing import Final

from plait.model.traffic_policy import Algorithm, Balancer, HashCookie, HashKey, LocalityPreference, SlowStart
from plait.resources.formats import duration_seconds
from plait.resources.istio.load_balancing import (
    ConsistentHash,
    HTTPCookie,
    LoadBalancerSettings,
    LocalityLoadBalancerSetting,
    ZoneAwareLoadBalancerSetting,
)

_ALGORITHMS: Final = {
    "ROUND_ROBIN": Algorithm.ROUND_ROBIN,
    "RANDOM": Algorithm.RANDOM,
    "PASSTHROUGH": Algorithm.PASSTHROUGH,
}
_RING: Final = 1024


def seconds(text: str | None) -> float | None:
    """The seconds of a duration as it was written."""
    return None if text is None else duration_seconds(text)


def declared_balancer(written: LoadBalancerSettings | None) -> Balancer | None:
    """The balancer that a rule declares."""
    if written is None:
        return None
    slow_start = _slow_start(written)
    locality = _locality(written.locality_lb_setting, written.zone_aware_lb_setting)
    if written.consistent_hash is not None:
        return _hashing(written.consistent_hash, locality)
    algorithm = _ALGORITHMS.get(written.simple or "", Algorithm.LEAST_REQUEST)
    return Balancer(algorithm=algorithm, slow_start=slow_start, locality=locality)


def _slow_start(written: LoadBalancerSettings) -> SlowStart | None:
    warmup = written.warmup
    if warmup is not None:
        usual = SlowStart(duration=seconds(warmup.duration) or 0)
        return SlowStart(
            duration=usual.duration,
            minimum=usual.minimum if warmup.minimum_percent is None else warmup.minimum_percent,
            aggression=warmup.aggression or usual.aggression,
        )
    duration = seconds(written.warmup_duration_secs)
    return SlowStart(duration=duration) if duration else None


def _hashing(written: ConsistentHash, locality: LocalityPreference | None) -> Balancer:
    key = HashKey(
        header=(written.http_header_name or "").lower(),
        cookie=_cookie(written.http_cookie) if written.http_cookie else None,
        source_address=bool(written.use_source_ip),
        query=written.http_query_parameter_name or "",
    )
    if written.maglev is not None:
        return Balancer(algorithm=Algorithm.MAGLEV, key=key, size=written.maglev.table_size or 0, locality=locality)
    ring = written.ring_hash.minimum_ring_size if written.ring_hash else written.minimum_ring_size
    return Balancer(algorithm=Algorithm.RING_HASH, key=key, size=ring or _RING, locality=locality)


def _cookie(written: HTTPCookie) -> HashCookie:
    return HashCookie(
        name=written.name,
        path=written.path,
        lifetime=seconds(written.ttl),
        attributes=tuple((item.name, item.value) for item in written.attributes),
    )


def _locality(
    written: LocalityLoadBalancerSetting | None, by_zone: ZoneAwareLoadBalancerSetting | None
) -> LocalityPreference | None:
    chosen = written or by_zone
    if chosen is None:
        return None
    shares = written.distribute if written else ()
    return LocalityPreference(
        enabled=chosen.enabled is not False,
        distribute=tuple((item.from_, tuple(sorted(item.to.items()))) for item in shares),
        failover=tuple((item.from_, item.to) for item in chosen.failover),
        priority=chosen.failover_priority,
    )
