"""A Service's protection from its annotations, and that of a workload's port to which several Services lead.

Where Services disagree on what an instance takes, the tightest holds: the fewest at a time, the lowest rate, the
smallest usual latency; a number and `adaptive` hold both, as do all limits that instances share. What callers keep to
is each Service's own.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from plait.model.ids import ObjectName, Origin
from plait.model.protection import SHARED_TIMEOUT, CallerProtection, Ejection, Protection, RateLimit, ServerProtection
from plait.model.view import HttpReason
from plait.resources import paths
from plait.resources.core import shared_limit_annotations as shared
from plait.resources.core import traffic_annotations as asked
from plait.snapshot.shared_limits import shared_limits, together

IDLE_SHARE: Final = 0.75
"""Of the app's keep-alive: the part after which the mesh closes an idle connection."""
_LONGEST_EJECTION: Final = 12
_CALLERS: Final = (
    asked.MAX_CONNECTIONS,
    asked.MAX_REQUESTS,
    asked.MAX_PENDING,
    asked.RETRY_BUDGET,
    asked.EJECT_AFTER_FAILURES,
    asked.EJECT_AFTER_ERRORS,
    asked.EJECT_FOR,
    asked.EJECT_AT_MOST,
    asked.PANIC_BELOW,
    asked.KEEP_ALIVE,
)
_SERVER: Final = (
    asked.CONCURRENCY,
    asked.QUEUE,
    asked.USUAL_LATENCY,
    asked.RATE_LIMIT,
    asked.BURST,
    asked.ADMISSION_CONTROL,
    *shared.LIMITS,
)
_NEEDS_REQUESTS: Final = {
    asked.CONCURRENCY: "asks for a limit of the requests in hand",
    asked.RATE_LIMIT: "asks for a limit of requests in a time",
    asked.ADMISSION_CONTROL: "asks to hold requests back while others fail",
    **dict.fromkeys(shared.LIMITS, "asks for a limit that all instances share"),
}


def protection_of(annotations: Mapping[str, str], origin: Origin) -> Protection:
    """What the annotations of a Service ask for, in place of the defaults."""
    if not any(name.startswith(asked.PREFIX) for name in annotations):
        return Protection()
    return Protection(callers=_callers(annotations, origin), server=_server(annotations, origin))


def _origins(annotations: Mapping[str, str], names: Iterable[str], origin: Origin) -> tuple[Origin, ...]:
    return tuple(
        Origin(
            kind=origin.kind,
            namespace=origin.namespace,
            name=origin.name,
            path=paths.join(("metadata", "annotations", name)),
            file=origin.file,
            line=origin.line,
        )
        for name in names
        if name in annotations
    )


def _number(annotations: Mapping[str, str], name: str) -> int | None:
    value = asked.read(annotations, name)
    return value if isinstance(value, int) else None


def _seconds(annotations: Mapping[str, str], name: str) -> float | None:
    value = asked.read(annotations, name)
    return value if isinstance(value, float) else None


def _callers(annotations: Mapping[str, str], origin: Origin) -> CallerProtection:
    keep_alive = _seconds(annotations, asked.KEEP_ALIVE)
    return CallerProtection(
        max_connections=_number(annotations, asked.MAX_CONNECTIONS),
        max_requests=_number(annotations, asked.MAX_REQUESTS),
        max_pending=_number(annotations, asked.MAX_PENDING),
        retry_budget=_number(annotations, asked.RETRY_BUDGET),
        ejection=_ejection(annotations),
        panic_threshold=_number(annotations, asked.PANIC_BELOW) or 0,
        idle_timeout=None if keep_alive is None else keep_alive * IDLE_SHARE,
        origins=_origins(annotations, _CALLERS, origin),
    )


def _ejection(annotations: Mapping[str, str]) -> Ejection | None:
    usual = Ejection()
    failures = asked.read(annotations, asked.EJECT_AFTER_FAILURES)
    errors = _number(annotations, asked.EJECT_AFTER_ERRORS) or 0
    if failures == "off" and not errors:
        return None
    duration = _seconds(annotations, asked.EJECT_FOR) or usual.duration
    return Ejection(
        connection_failures=0
        if failures == "off"
        else failures
        if isinstance(failures, int)
        else usual.connection_failures,
        gateway_errors=errors,
        duration=duration,
        longest=duration * _LONGEST_EJECTION,
        max_share=_number(annotations, asked.EJECT_AT_MOST) or usual.max_share,
    )


def _server(annotations: Mapping[str, str], origin: Origin) -> ServerProtection:
    rate = asked.read(annotations, asked.RATE_LIMIT)
    burst = _number(annotations, asked.BURST)
    limit = rate if isinstance(rate, RateLimit) else None
    if limit is not None and burst is not None:
        limit = RateLimit(count=limit.count, per=limit.per, burst=burst)
    return ServerProtection(
        concurrency=_number(annotations, asked.CONCURRENCY),
        queue=_number(annotations, asked.QUEUE),
        adaptive=asked.read(annotations, asked.CONCURRENCY) == "adaptive",
        usual_latency=_seconds(annotations, asked.USUAL_LATENCY),
        rate=limit,
        admission_control=asked.ADMISSION_CONTROL in annotations,
        shared=shared_limits(annotations, ObjectName(namespace=origin.namespace, name=origin.name)),
        shared_timeout=shared.wait(annotations) or SHARED_TIMEOUT,
        shared_denies=shared.denies(annotations),
        origins=_origins(annotations, _SERVER, origin),
    )


def tightest(found: Iterable[ServerProtection]) -> ServerProtection:
    """The protection of a port to which several Services lead."""
    asking = [item for item in found if item.asks]
    if len(asking) < 2:
        return asking[0] if asking else ServerProtection()
    fixed = min((item for item in asking if item.concurrency is not None), key=_fixed, default=ServerProtection())
    latencies = [item.usual_latency for item in asking if item.usual_latency is not None]
    rates = [item.rate for item in asking if item.rate is not None]
    return ServerProtection(
        concurrency=fixed.concurrency,
        queue=fixed.queue,
        adaptive=any(item.adaptive for item in asking),
        usual_latency=min(latencies, default=None),
        admission_control=any(item.admission_control for item in asking),
        shared=together(asking),
        shared_timeout=max((item.shared_timeout for item in asking if item.shared), default=SHARED_TIMEOUT),
        shared_denies=any(item.shared_denies for item in asking),
        rate=min(rates, key=lambda rate: (rate.per_second, rate.burst), default=None),
        origins=tuple(dict.fromkeys(origin for item in asking for origin in item.origins)),
    )


def _fixed(item: ServerProtection) -> tuple[int, int]:
    concurrency = item.concurrency or 0
    return concurrency, item.queue if item.queue is not None else concurrency


def needing_requests(protection: Protection, *, tells_caller: bool) -> tuple[str, ...]:
    """The annotations of a Service that can be kept on requests only, by name."""
    server, callers = protection.server, protection.callers
    ejection = callers.ejection
    wishes = {
        asked.CALLER_IDENTITY: tells_caller,
        f"{asked.CONCURRENCY}: adaptive": server.adaptive,
        asked.ADMISSION_CONTROL: server.admission_control,
        **{name: any(limit.counted_by is by for limit in server.shared) for name, by in shared.LIMITS.items()},
        asked.MAX_REQUESTS: callers.max_requests is not None,
        asked.RETRY_BUDGET: callers.retry_budget is not None,
        asked.EJECT_AFTER_ERRORS: ejection is not None and ejection.gateway_errors > 0,
    }
    return tuple(name for name, wanted in wishes.items() if wanted)


def reasons_for(protection: ServerProtection) -> tuple[HttpReason, ...]:
    """Why a port's requests must be looked at: the annotations that limit them."""
    found: list[HttpReason] = []
    for origin in protection.origins:
        name = origin.path.partition("[")[2].rstrip("]")
        if name in _NEEDS_REQUESTS:
            of = ObjectName(namespace=origin.namespace, name=origin.name)
            because = f"{name} {_NEEDS_REQUESTS[name]}"
            found.append(HttpReason(kind=origin.kind, name=of, because=because, origin=origin))
    return tuple(found)
