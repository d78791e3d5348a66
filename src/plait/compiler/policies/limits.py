"""What a server's sidecar takes from all callers together: a rate, and a number at a time that is found by itself.

The number that is fixed is a circuit breaker of the app's cluster (`breakers.of_server`). The rate's numbers are in the
route, so that they change on open connections; the filter itself is only in chains of ports that ask for it, as it
costs every request a little. Adaptive concurrency (Envoy's gradient controller) raises the limit while the latency is
near that without load, and lowers it as latency grows; it has no settings in routes.
"""

import math
from collections.abc import Iterator
from typing import Final

from envoy.config.core.v3 import base_pb2
from envoy.config.listener.v3 import listener_components_pb2
from envoy.config.route.v3 import route_components_pb2
from envoy.extensions.filters.http.adaptive_concurrency.v3 import adaptive_concurrency_pb2
from envoy.extensions.filters.http.local_ratelimit.v3 import local_rate_limit_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.extensions.filters.network.local_ratelimit.v3 import local_rate_limit_pb2 as network_rate_limit_pb2
from envoy.type.v3 import percent_pb2, token_bucket_pb2

from plait.envoy import proto
from plait.model.protection import RateLimit, ServerProtection

HttpFilter = http_connection_manager_pb2.HttpFilter
Gradient = adaptive_concurrency_pb2.GradientControllerConfig

RATE_LIMIT: Final = "plait.rate-limit"
ADAPTIVE: Final = "plait.adaptive-concurrency"
_STAT_PREFIX: Final = "inbound"
_SHORTEST_FILL: Final = 0.05
"""Envoy refuses buckets that are filled more often (seconds)."""
_UPDATE: Final = 0.1
_MEASURE_EVERY: Final = 60.0
_MEASURED_REQUESTS: Final = 50
_FEWEST: Final = 3
_TOLERANCE: Final = 25.0
"""Per cent by which the latency may grow before the limit is lowered."""
_MOST: Final = 100_000


def http_filters(protection: ServerProtection) -> Iterator[HttpFilter]:
    """The filters of a port's connection manager."""
    if protection.rate is not None:
        config = local_rate_limit_pb2.LocalRateLimit(stat_prefix=_STAT_PREFIX)
        yield HttpFilter(name=RATE_LIMIT, typed_config=proto.packed(config))
    if protection.adaptive:
        yield HttpFilter(name=ADAPTIVE, typed_config=proto.packed(_adaptive(protection)))


def network_filters(protection: ServerProtection) -> Iterator[listener_components_pb2.Filter]:
    """The filters of a port that passes bytes because it speaks no HTTP: so many new connections in a time."""
    if protection.rate is not None:
        config = network_rate_limit_pb2.LocalRateLimit(stat_prefix=_STAT_PREFIX, token_bucket=_bucket(protection.rate))
        yield listener_components_pb2.Filter(name=RATE_LIMIT, typed_config=proto.packed(config))


def on_route(message: route_components_pb2.Route, protection: ServerProtection) -> None:
    """Gives the route to the app the port's rate."""
    if protection.rate is None:
        return
    always = base_pb2.RuntimeFractionalPercent(default_value=percent_pb2.FractionalPercent(numerator=100))
    config = local_rate_limit_pb2.LocalRateLimit(
        stat_prefix=_STAT_PREFIX,
        token_bucket=_bucket(protection.rate),
        filter_enabled=always,
        filter_enforced=always,
    )
    message.typed_per_filter_config[RATE_LIMIT].CopyFrom(proto.packed(config))


def _bucket(rate: RateLimit) -> token_bucket_pb2.TokenBucket:
    """The bucket that is filled as evenly as Envoy can: one token at a time, or those of the shortest interval."""
    tokens = max(1, math.ceil(rate.per_second * _SHORTEST_FILL))
    return token_bucket_pb2.TokenBucket(
        max_tokens=max(rate.burst, tokens),
        tokens_per_fill=proto.number(tokens),
        fill_interval=proto.seconds(tokens / rate.per_second),
    )


def _adaptive(protection: ServerProtection) -> adaptive_concurrency_pb2.AdaptiveConcurrency:
    unloaded = Gradient.MinimumRTTCalculationParams(
        request_count=proto.number(_MEASURED_REQUESTS),
        min_concurrency=proto.number(_FEWEST),
        jitter=percent_pb2.Percent(value=15),
        buffer=percent_pb2.Percent(value=_TOLERANCE),
    )
    if protection.usual_latency is not None:
        unloaded.fixed_value.CopyFrom(proto.seconds(protection.usual_latency))
    else:
        unloaded.interval.CopyFrom(proto.seconds(_MEASURE_EVERY))
    gradient = Gradient(
        sample_aggregate_percentile=percent_pb2.Percent(value=50),
        concurrency_limit_params=Gradient.ConcurrencyLimitCalculationParams(
            max_concurrency_limit=proto.number(_MOST), concurrency_update_interval=proto.seconds(_UPDATE)
        ),
        min_rtt_calc_params=unloaded,
    )
    return adaptive_concurrency_pb2.AdaptiveConcurrency(
        gradient_controller_config=gradient,
        enabled=base_pb2.RuntimeFeatureFlag(default_value=proto.true(), runtime_key="plait.adaptive_concurrency"),
    )
