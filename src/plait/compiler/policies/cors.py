"""Cross-origin resource sharing: what a route tells browsers, and the filter that answers their preflights."""

from envoy.config.route.v3 import route_components_pb2
from envoy.extensions.filters.http.cors.v3 import cors_pb2
from envoy.type.matcher.v3 import string_pb2

from plait.compiler.filters import HttpFilter, optional_filter
from plait.envoy import names, proto
from plait.model.cors import Cors
from plait.model.matching import Matching, StringMatch


def filter_of_routes() -> HttpFilter:
    """The filter for connection managers; in no request's way unless a route has a policy."""
    return optional_filter(names.CORS_FILTER, cors_pb2.Cors())


def on_route(message: route_components_pb2.Route, cors: Cors | None) -> None:
    """Gives a route its policy."""
    if cors is not None:
        message.typed_per_filter_config[names.CORS_FILTER].CopyFrom(proto.packed(_policy(cors)))


def _policy(cors: Cors) -> cors_pb2.CorsPolicy:
    return cors_pb2.CorsPolicy(
        allow_origin_string_match=[_origin(origin) for origin in cors.allow_origins],
        allow_methods=",".join(cors.allow_methods),
        allow_headers=",".join(cors.allow_headers),
        expose_headers=",".join(cors.expose_headers),
        max_age="" if cors.max_age is None else str(cors.max_age),
        allow_credentials=proto.true() if cors.allow_credentials else None,
        forward_not_matching_preflights=proto.true() if cors.forward_unmatched else proto.false(),
    )


def _origin(origin: StringMatch) -> string_pb2.StringMatcher:
    match origin.matching:
        case Matching.REGEX:
            return string_pb2.StringMatcher(safe_regex=proto.regex(origin.value))
        case Matching.PREFIX | Matching.STRING_PREFIX:
            return string_pb2.StringMatcher(prefix=origin.value)
        case Matching.PRESENT:
            return string_pb2.StringMatcher(safe_regex=proto.regex(".*"))
        case Matching.EXACT:
            return proto.exactly(origin.value)
