"""Limits as Envoy is told them, for any numbers."""

import pytest
from envoy.extensions.filters.network.local_ratelimit.v3 import local_rate_limit_pb2
from hypothesis import given
from hypothesis import strategies as st

from plait.compiler.policies import breakers, limits
from plait.envoy import proto
from plait.model.protection import CallerProtection, Ejection, RateLimit, ServerProtection
from plait.model.services import Protocol

RATES = st.builds(
    RateLimit,
    count=st.integers(1, 999_999_999),
    per=st.sampled_from((1.0, 60.0, 3600.0)),
    burst=st.integers(1, 1_000_000_000),
)


@given(RATES)
def test_a_bucket_is_filled_at_the_rate(rate: RateLimit) -> None:
    """In intervals that Envoy takes, with room for the burst and for what each interval brings."""
    (made,) = limits.network_filters(ServerProtection(rate=rate))
    bucket = local_rate_limit_pb2.LocalRateLimit.FromString(made.typed_config.value).token_bucket
    interval = proto.to_seconds(bucket.fill_interval)
    assert interval >= 0.0499
    assert bucket.tokens_per_fill.value / interval == pytest.approx(rate.per_second, rel=0.001)
    assert bucket.max_tokens >= max(rate.burst, bucket.tokens_per_fill.value)


@pytest.mark.parametrize(
    ("protocol", "connections", "requests", "pending"),
    [
        (Protocol.HTTP, 8, 8, 3),
        (Protocol.GRPC, proto.UNLIMITED, 8, proto.UNLIMITED),
        (Protocol.TCP, 8, proto.UNLIMITED, proto.UNLIMITED),
    ],
)
def test_a_number_at_a_time_is_in_the_protocols_own_units(
    protocol: Protocol, connections: int, requests: int, pending: int
) -> None:
    """HTTP/1 has as many connections as requests and a queue, HTTP/2 requests, all else connections."""
    (found,) = breakers.of_server(ServerProtection(concurrency=8, queue=3), protocol).thresholds
    limited = (found.max_connections.value, found.max_requests.value, found.max_pending_requests.value)
    assert limited == (connections, requests, pending)


def test_nobody_is_limited_unasked() -> None:
    """The defaults are far above what Envoy's own would be."""
    (server,) = breakers.of_server(ServerProtection(), Protocol.HTTP).thresholds
    (caller,) = breakers.of_caller(CallerProtection()).thresholds
    assert server == caller
    assert server.max_requests.value == server.max_retries.value == proto.UNLIMITED
    assert not caller.HasField("retry_budget")


def test_what_ejection_does_not_mention_is_off() -> None:
    """Envoy's own defaults would count errors and success rates."""
    message = breakers.ejection(Ejection(connection_failures=0, gateway_errors=4))
    enforced = {field.name: value.value for field, value in message.ListFields() if field.name.startswith("enforcing")}
    assert {name for name, share in enforced.items() if share} == {"enforcing_consecutive_gateway_failure"}
    assert not message.always_eject_one_host.value
