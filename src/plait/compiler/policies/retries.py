"""Retries and the time limit of one try.

Where nobody asked for retries, a request is repeated only if it never reached the app: connecting failed, the stream
was refused, or the connection was gone before the request was written. Each try prefers a host not tried yet.
"""

from typing import Final

from envoy.config.route.v3 import route_components_pb2
from envoy.extensions.retry.host.previous_hosts.v3 import previous_hosts_pb2

from plait.envoy import proto
from plait.model.traffic import Retry

DEFAULT: Final = Retry(attempts=2)
_HOST_ATTEMPTS: Final = 32
"""Picks of another host before a retry takes one that failed: a dead host has the fewest requests, so the balancer
proposes it up to three times of four."""
_MAX_BACKOFF_FACTOR: Final = 10


def policy(retry: Retry | None, backend_timeout: float | None) -> route_components_pb2.RetryPolicy:
    """The retry policy of a route; `backend_timeout` limits each try."""
    chosen = retry or DEFAULT
    conditions = (*chosen.on, "retriable-status-codes") if chosen.codes else chosen.on
    message = route_components_pb2.RetryPolicy(
        retry_on=",".join(conditions),
        num_retries=proto.number(chosen.attempts),
        retriable_status_codes=chosen.codes,
        host_selection_retry_max_attempts=_HOST_ATTEMPTS,
        retry_host_predicate=[
            route_components_pb2.RetryPolicy.RetryHostPredicate(
                name="envoy.retry_host_predicates.previous_hosts",
                typed_config=proto.packed(previous_hosts_pb2.PreviousHostsPredicate()),
            )
        ],
    )
    backoff = max(chosen.backoff, 0.001)
    message.retry_back_off.base_interval.CopyFrom(proto.seconds(backoff))
    message.retry_back_off.max_interval.CopyFrom(proto.seconds(backoff * _MAX_BACKOFF_FACTOR))
    limit = chosen.per_try_timeout if chosen.per_try_timeout is not None else backend_timeout
    if limit:
        message.per_try_timeout.CopyFrom(proto.seconds(limit))
    return message
