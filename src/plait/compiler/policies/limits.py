"""What a server's sidecar takes from all callers together: a rate, what the app answers, and as many as it can.

The number that is fixed is a circuit breaker of the app's cluster (`breakers.of_server`). The rate's numbers are in the
route, so that they change on open connections; the filter itself is only in chains of ports that ask for it, as it
costs every request a little. Adaptive concurrency (Envoy's gradient controller) raises the limit while the latency is
near that without load, and lowers it as latency grows. Admission control holds requests back in the measure in which
others failed lately. These two have no settings in routes.
"""

import math
from collections.abc import Iterator
from typing import Final

from envoy.config.core.v3 import base_pb2
from envoy.config.listener.v3 import listener_components_pb2
from envoy.config.route.v3 import route_components_pb2
from envoy.extensions.filters.http.adaptive_concurrency.v3 import adaptive_concurrency_pb2
from envoy.extensions.filters.http.admission_control.v3 import admission_control_pb2
from envoy.extensions.filters.http.local_ratelimit.v3 import local_rate_limit_pb2
from envoy.extensions.filters.network.connection_limit.v3 import connection_limit_pb2
from envoy.extensions.filters.network.local_ratelimit.v3 import local_rate_limit_pb2 as network_rate_limit_pb2
from envoy.type.v3 import http_status_pb2, percent_pb2, range_pb2, token_bucket_pb2

from plait.compiler.filters import HttpFilter, http_filter
from plait.compiler.policies import shared_limits
from plait.envoy import proto
from plait.model.protection import RateLimit, ServerProtection

Admission = admission_control_pb2.AdmissionControl
Gradient = adaptive_concurrency_pb2.GradientControllerConfig

RATE_LIMIT: Final = "plait.rate-limit"
ADAPTIVE: Final = "plait.adaptive-concurrency"
ADMISSION: Final = "plait.admission-control"
CONNECTIONS: Final = "plait.connections"
ADAPTIVE_STATUS: Final = http_status_pb2.NotExtended
"""What tells its answers from others until they are sent, with 503: Envoy gives them no flag."""
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
_ADMISSION_WINDOW: Final = 10.0
_FEWEST_PER_SECOND: Final = 5
_MOST_HELD_BACK: Final = 80.0


def http_filters(protection: ServerProtection) -> Iterator[HttpFilter]:
    """The filters of a port's connection manager."""
    if protection.rate is not None:
        config = local_rate_limit_pb2.LocalRateLimit(stat_prefix=_STAT_PREFIX)
        yield http_filter(RATE_LIMIT, config)
    yield from shared_limits.http_filters(protection)
    if protection.adaptive:
        yield http_filter(ADAPTIVE, _adaptive(protection))
    if protection.admission_control:
        yield http_filter(ADMISSION, _admission())


def network_filters(protection: ServerProtection) -> Iterator[listener_components_pb2.Filter]:
    """The filters of a port that speaks no HTTP: so many connections at a time, and so many new ones in a time."""
    if protection.concurrency is not None:
        limit = connection_limit_pb2.ConnectionLimit(
            stat_prefix=_STAT_PREFIX, max_connections=proto.wide(protection.concurrency)
        )
        yield listener_components_pb2.Filter(name=CONNECTIONS, typed_config=proto.packed(limit))
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
        concurrency_limit_exceeded_status=http_status_pb2.HttpStatus(code=ADAPTIVE_STATUS),
    )


def _admission() -> Admission:
    answered = range_pb2.Int32Range(start=100, end=500)
    success = Admission.SuccessCriteria.HttpCriteria(http_success_status=[answered])
    most = percent_pb2.Percent(value=_MOST_HELD_BACK)
    return Admission(
        enabled=base_pb2.RuntimeFeatureFlag(default_value=proto.true(), runtime_key="plait.admission_control"),
        success_criteria=Admission.SuccessCriteria(http_criteria=success),
        sampling_window=proto.seconds(_ADMISSION_WINDOW),
        rps_threshold=base_pb2.RuntimeUInt32(default_value=_FEWEST_PER_SECOND, runtime_key="plait.admission_rps"),
        max_rejection_probability=base_pb2.RuntimePercent(default_value=most, runtime_key="plait.admission_most"),
    )
