"""Circuit breakers and ejection: limits of one proxy towards one cluster, and endpoints that it leaves out for a while.

What nobody asked for is opened wide: Envoy's defaults (1024 requests, 3 retries) would be limits by surprise. Ejection
is on by default, for failures to connect alone: such an endpoint has served nobody, so leaving it out sheds no load.
Envoy also counts requests that were reset or timed out before an answer, but begins anew with every request that gets a
connection; so only a burst of these, without a request begun meanwhile, leaves an endpoint out.
"""

from envoy.config.cluster.v3 import circuit_breaker_pb2, outlier_detection_pb2
from envoy.type.v3 import percent_pb2

from plait.envoy import proto
from plait.model.protection import CallerProtection, Ejection, ServerProtection
from plait.model.services import Protocol
from plait.model.traffic_policy import Pool

Thresholds = circuit_breaker_pb2.CircuitBreakers.Thresholds


def _thresholds(
    *,
    connections: int | None = None,
    requests: int | None = None,
    pending: int | None = None,
    retries: int | None = None,
) -> Thresholds:
    return Thresholds(
        max_connections=_limit(connections),
        max_pending_requests=_limit(pending),
        max_requests=_limit(requests),
        max_retries=_limit(retries),
    )


def _limit(value: int | None):
    return proto.number(proto.UNLIMITED if value is None else value)


def _breakers(thresholds: Thresholds) -> circuit_breaker_pb2.CircuitBreakers:
    return circuit_breaker_pb2.CircuitBreakers(thresholds=[thresholds])


def unlimited() -> circuit_breaker_pb2.CircuitBreakers:
    """No limit at all."""
    return _breakers(_thresholds())


def of_caller(protection: CallerProtection) -> circuit_breaker_pb2.CircuitBreakers:
    """What a caller's proxy keeps to towards a service."""
    thresholds = _thresholds(
        connections=protection.max_connections,
        requests=protection.max_requests,
        pending=protection.max_pending,
        retries=protection.max_retries,
    )
    if protection.retry_budget is not None:
        thresholds.retry_budget.CopyFrom(
            Thresholds.RetryBudget(
                budget_percent=percent_pb2.Percent(value=protection.retry_budget),
                min_retry_concurrency=proto.number(protection.min_retries),
            )
        )
    return _breakers(thresholds)


def of_server(protection: ServerProtection, protocol: Protocol) -> circuit_breaker_pb2.CircuitBreakers:
    """What a server's proxy lets through to its app at a time.

    HTTP/1 gets no more connections than requests that are worked on: an app with a worker for each connection would
    leave requests unread on any other. What waits for a connection is the queue.
    """
    at_once = protection.concurrency
    if at_once is None:
        return unlimited()
    if not protocol.is_http:
        return _breakers(_thresholds(connections=at_once))
    if protocol.is_http2:
        return _breakers(_thresholds(requests=at_once))
    queue = at_once if protection.queue is None else protection.queue
    return _breakers(_thresholds(connections=at_once, requests=at_once, pending=queue))


def tighten(message: circuit_breaker_pb2.CircuitBreakers, pool: Pool) -> None:
    """Lets no more through than a pool says, nor than was said before."""
    for thresholds in message.thresholds:
        for held, limit in (
            (thresholds.max_connections, pool.max_connections),
            (thresholds.max_requests, pool.max_requests),
            (thresholds.max_pending_requests, pool.max_pending),
        ):
            held.value = min(held.value, proto.UNLIMITED if limit is None else limit)


def ejection(settings: Ejection) -> outlier_detection_pb2.OutlierDetection:
    """When endpoints are left out; what is not mentioned is off."""
    message = outlier_detection_pb2.OutlierDetection(
        split_external_local_origin_errors=settings.split,
        interval=proto.seconds(settings.interval),
        base_ejection_time=proto.seconds(settings.duration),
        max_ejection_time=proto.seconds(settings.longest),
        max_ejection_percent=proto.number(settings.max_share),
        always_eject_one_host=proto.true() if settings.at_least_one else proto.false(),
        enforcing_success_rate=proto.number(0),
        enforcing_local_origin_success_rate=proto.number(0),
        enforcing_failure_percentage=proto.number(0),
        enforcing_failure_percentage_local_origin=proto.number(0),
        enforcing_consecutive_local_origin_failure=_enforced(settings.connection_failures),
        enforcing_consecutive_gateway_failure=_enforced(settings.gateway_errors),
        enforcing_consecutive_5xx=_enforced(settings.server_errors),
    )
    if settings.connection_failures:
        message.consecutive_local_origin_failure.CopyFrom(proto.number(settings.connection_failures))
    if settings.gateway_errors:
        message.consecutive_gateway_failure.CopyFrom(proto.number(settings.gateway_errors))
    if settings.server_errors:
        message.consecutive_5xx.CopyFrom(proto.number(settings.server_errors))
    return message


def _enforced(count: int):
    return proto.number(100 if count else 0)
