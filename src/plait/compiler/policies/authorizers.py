"""Authorizers of routes: services that are asked about each request before it goes on.

Envoy's filter that asks has one service for a whole chain of filters, and one list of headers. So the filter in the
chain is a composite, which does nothing until a route says what it is made of. Whatever goes wrong with the question,
the request is refused: 503 if nobody answers in time, else what the authorizer says.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from envoy.config.core.v3 import config_source_pb2, extension_pb2, grpc_service_pb2, http_uri_pb2
from envoy.config.route.v3 import route_components_pb2
from envoy.extensions.common.matching.v3 import extension_matcher_pb2
from envoy.extensions.filters.http.composite.v3 import composite_pb2
from envoy.extensions.filters.http.ext_authz.v3 import ext_authz_pb2
from envoy.type.matcher.v3 import string_pb2
from envoy.type.v3 import http_status_pb2
from xds.core.v3 import extension_pb2 as xds_extension_pb2
from xds.type.matcher.v3 import matcher_pb2

from plait.compiler.filters import HttpFilter, http_filter
from plait.compiler.targets import Targets
from plait.envoy import names, proto
from plait.model.authorizer import Authorizer, Question
from plait.model.view import View

TIMEOUT: Final = 5.0
"""Seconds after which a question without an answer is a refusal."""
_OF_THE_ANSWER: Final = ("date$", "host$", "server$", "te$", "connection$", "keep-alive$", "trailer$", "upgrade$")
_KEPT: Final = (*_OF_THE_ANSWER, "content-", "transfer-", "x-envoy-", "x-forwarded-", "x-plait-", ":")
"""Headers of an authorizer's answer that describe the answer itself or its way, and beginnings of such."""


def filters_of_routes(view: View) -> list[HttpFilter]:
    """The filter, where any rule has an authorizer; in no request's way whose route has none."""
    if not view.authorizers:
        return []
    empty = proto.extension("composite", composite_pb2.Composite())
    config = extension_matcher_pb2.ExtensionWithMatcher(extension_config=empty, xds_matcher=matcher_pb2.Matcher())
    return [http_filter(names.AUTHORIZER_FILTER, config)]


def on_route(message: route_components_pb2.Route, authorizer: Authorizer | None, clusters: Targets) -> None:
    """Lets requests of a route wait for their authorizer."""
    if authorizer is None:
        return
    asking = _asking(authorizer, clusters[authorizer.cluster].name)
    action = composite_pb2.ExecuteFilterAction(typed_config=asking)
    chosen = matcher_pb2.Matcher.OnMatch(
        action=xds_extension_pb2.TypedExtensionConfig(name="authorize", typed_config=proto.packed(action))
    )
    wanted = extension_matcher_pb2.ExtensionWithMatcherPerRoute(xds_matcher=matcher_pb2.Matcher(on_no_match=chosen))
    message.typed_per_filter_config[names.AUTHORIZER_FILTER].CopyFrom(proto.packed(wanted))


def _asking(authorizer: Authorizer, cluster: str) -> extension_pb2.TypedExtensionConfig:
    question = authorizer.question
    config = ext_authz_pb2.ExtAuthz(
        transport_api_version=config_source_pb2.V3,
        status_on_error=http_status_pb2.HttpStatus(code=http_status_pb2.ServiceUnavailable),
        validate_mutations=True,
        disallowed_headers=_exactly((names.DESTINATION_HEADER,)),
    )
    if question.told:
        config.allowed_headers.CopyFrom(_exactly(question.told))
    if question.body:
        config.with_request_body.max_request_bytes = question.body
        config.with_request_body.pack_as_bytes = question.grpc
    if question.grpc:
        config.grpc_service.CopyFrom(_by_grpc(cluster))
    else:
        config.http_service.CopyFrom(_by_http(question, cluster))
    return proto.extension("envoy.filters.http.ext_authz", config)


def _by_grpc(cluster: str) -> grpc_service_pb2.GrpcService:
    return grpc_service_pb2.GrpcService(
        envoy_grpc=grpc_service_pb2.GrpcService.EnvoyGrpc(cluster_name=cluster), timeout=proto.seconds(TIMEOUT)
    )


def _by_http(question: Question, cluster: str) -> ext_authz_pb2.HttpService:
    added = _exactly(question.added) if question.added else _everything()
    return ext_authz_pb2.HttpService(
        server_uri=http_uri_pb2.HttpUri(uri=f"http://{cluster}", cluster=cluster, timeout=proto.seconds(TIMEOUT)),
        path_prefix=question.path_prefix,
        authorization_response=ext_authz_pb2.AuthorizationResponse(allowed_upstream_headers=added),
    )


def _exactly(headers: Sequence[str]) -> string_pb2.ListStringMatcher:
    return string_pb2.ListStringMatcher(
        patterns=[string_pb2.StringMatcher(exact=name.lower(), ignore_case=True) for name in headers]
    )


def _everything() -> string_pb2.ListStringMatcher:
    """Every header but those that are kept from the app."""
    patterns = [string_pb2.StringMatcher(safe_regex=proto.regex(text)) for text in outside(_KEPT)]
    return string_pb2.ListStringMatcher(patterns=patterns)


def outside(words: Sequence[str], before: str = "") -> Iterator[str]:
    """Expressions that together match every text but words (with a `$`) and what begins with one (without).

    RE2 cannot exclude, and Envoy bounds the size of one expression.
    """
    if "" in words:
        return
    letters = sorted({word[0] for word in words} - {"$"})
    more = f"[^{''.join(map(re.escape, letters))}].*" if letters else ".+"
    yield f"{before}{more}" if "$" in words or not before else f"{before}(?:{more})?"
    for letter in letters:
        yield from outside([word[1:] for word in words if word[0] == letter], before + re.escape(letter))
