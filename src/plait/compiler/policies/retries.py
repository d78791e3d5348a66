"""Retries and the time limit of one try.

Where nobody asked for retries, a request is repeated only if it never reached the app: connecting failed, the stream
was refused, or the connection was gone before the request was written. Each try prefers a host not tried yet.
"""

from typing import Final

from envoy.config.route.v3 import route_components_pb2
from envoy.extensions.retry.host.previous_hosts.v3 import previous_hosts_pb2
from envoy.extensions.retry.priority.previous_priorities.v3 import previous_priorities_config_pb2

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
    limit = chosen.per_try_timeout if chosen.per_try_timeout is not None else backend_timeout
    if not chosen.attempts:
        return _one_try(limit)
    conditions = (*chosen.on, "retriable-status-codes") if chosen.codes else chosen.on
    message = route_components_pb2.RetryPolicy(
        retry_on=",".join(conditions),
        num_retries=proto.number(chosen.attempts),
        retriable_status_codes=chosen.codes,
    )
    if chosen.other_hosts:
        message.host_selection_retry_max_attempts = _HOST_ATTEMPTS
        message.retry_host_predicate.append(_other_hosts())
    if chosen.other_localities:
        message.retry_priority.CopyFrom(_other_localities())
    backoff = max(chosen.backoff, 0.001)
    message.retry_back_off.base_interval.CopyFrom(proto.seconds(backoff))
    message.retry_back_off.max_interval.CopyFrom(proto.seconds(backoff * _MAX_BACKOFF_FACTOR))
    if limit:
        message.per_try_timeout.CopyFrom(proto.seconds(limit))
    return message


def _one_try(limit: float | None) -> route_components_pb2.RetryPolicy:
    """No retries; a route that forwards still has a limit for its one try."""
    message = route_components_pb2.RetryPolicy(num_retries=proto.number(0))
    if limit:
        message.per_try_timeout.CopyFrom(proto.seconds(limit))
    return message


def _other_hosts() -> route_components_pb2.RetryPolicy.RetryHostPredicate:
    return route_components_pb2.RetryPolicy.RetryHostPredicate(
        name="envoy.retry_host_predicates.previous_hosts",
        typed_config=proto.packed(previous_hosts_pb2.PreviousHostsPredicate()),
    )


def _other_localities() -> route_components_pb2.RetryPolicy.RetryPriority:
    """Priorities are localities; after each try those that were used are left out."""
    config = previous_priorities_config_pb2.PreviousPrioritiesConfig(update_frequency=1)
    return route_components_pb2.RetryPolicy.RetryPriority(
        name="envoy.retry_priorities.previous_priorities", typed_config=proto.packed(config)
    )
