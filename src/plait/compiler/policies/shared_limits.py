"""Limits that all instances of a service share: each request asks whoever counts, by Envoy's rate limit protocol.

Asked is the relay of the machine, over the connection that configuration comes by, so control alone knows the numbers:
a changed number changes nothing here. Each limit is a descriptor of the service, the limit, and what is counted apart:

    service=default/web  limit=header:x-user  value=ann

What is asked is in the route and changes on open connections; how long to wait for the answer is in the filter. Its
answers have statuses of their own until they are sent (429 and 503), by which they are told from others.
"""

import re
from collections.abc import Iterator
from typing import Final

from envoy.config.core.v3 import config_source_pb2, grpc_service_pb2
from envoy.config.ratelimit.v3 import rls_pb2
from envoy.config.route.v3 import route_components_pb2
from envoy.extensions.filters.http.ratelimit.v3 import rate_limit_pb2
from envoy.type.matcher.v3 import string_pb2
from envoy.type.v3 import http_status_pb2

from plait.compiler.filters import HttpFilter, http_filter
from plait.envoy import names, proto
from plait.model.protection import CountedBy, ServerProtection, SharedLimit

Action = route_components_pb2.RateLimit.Action

FILTER: Final = "plait.shared-rate-limit"
LIMITED_STATUS: Final = http_status_pb2.NetworkAuthenticationRequired
"""Tells its answers from others until they are sent, with 429."""
UNKNOWN_STATUS: Final = http_status_pb2.LoopDetected
"""The same of requests that nobody counted in time, answered 503."""


def http_filters(protection: ServerProtection) -> Iterator[HttpFilter]:
    """The filter of a port's connection manager, if anything is limited so."""
    if protection.shared:
        config = rate_limit_pb2.RateLimit(
            domain=names.LIMIT_DOMAIN,
            timeout=proto.seconds(protection.shared_timeout),
            failure_mode_deny=protection.shared_denies,
            rate_limited_as_resource_exhausted=True,
            rate_limit_service=_counter(),
            enable_x_ratelimit_headers=rate_limit_pb2.RateLimit.DRAFT_VERSION_03,
            rate_limited_status=http_status_pb2.HttpStatus(code=LIMITED_STATUS),
            status_on_error=http_status_pb2.HttpStatus(code=UNKNOWN_STATUS),
        )
        yield http_filter(FILTER, config)


def _counter() -> rls_pb2.RateLimitServiceConfig:
    relay = grpc_service_pb2.GrpcService(
        envoy_grpc=grpc_service_pb2.GrpcService.EnvoyGrpc(cluster_name=names.XDS_CLUSTER)
    )
    return rls_pb2.RateLimitServiceConfig(grpc_service=relay, transport_api_version=config_source_pb2.V3)


def on_route(message: route_components_pb2.Route, protection: ServerProtection) -> None:
    """Gives the route to the app what is to be asked, in the order of the limits."""
    for limit in protection.shared:
        asked = message.route.rate_limits.add()
        asked.actions.extend([_named("service", str(limit.service)), _named("limit", limit.id), *_value(limit)])


def _named(key: str, value: str) -> Action:
    return Action(generic_key=Action.GenericKey(descriptor_key=key, descriptor_value=value))


def _value(limit: SharedLimit) -> Iterator[Action]:
    """What the requests that are counted together have in common; an action that finds nothing lets the limit be."""
    match limit.counted_by:
        case CountedBy.ALL:
            return
        case CountedBy.CALLER:
            yield _header(names.CALLER_HEADER)  # which the connection manager has written by now
        case CountedBy.ADDRESS:
            yield Action(remote_address=Action.RemoteAddress())
        case CountedBy.HEADER:
            yield _header(limit.of)
        case CountedBy.PATH:
            path = route_components_pb2.HeaderMatcher(name=":path", string_match=string_pb2.StringMatcher())
            path.string_match.safe_regex.regex = _below(limit.of)
            yield Action(
                header_value_match=Action.HeaderValueMatch(
                    descriptor_key="below", descriptor_value="path", headers=[path]
                )
            )


def _header(name: str) -> Action:
    return Action(request_headers=Action.RequestHeaders(header_name=name, descriptor_key="value", skip_if_absent=True))


def _below(path: str) -> str:
    """The regular expression of a path and all below it, with any query."""
    return re.escape(path.rstrip("/")) + r"([/?#].*)?"
