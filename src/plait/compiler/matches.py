"""What a request must be, as Envoy's route match."""

from typing import Final

from envoy.config.core.v3 import base_pb2
from envoy.config.route.v3 import route_components_pb2
from envoy.type.matcher.v3 import string_pb2
from envoy.type.v3 import percent_pb2

from plait.envoy import proto
from plait.model.traffic import Matching, NamedMatch, RequestMatch, StringMatch

_MILLION: Final = 1_000_000


def string_match(match: StringMatch) -> string_pb2.StringMatcher:
    """A comparison of a whole string, its beginning, or by expression."""
    if match.matching is Matching.EXACT:
        return proto.exactly(match.value)
    if match.matching is Matching.REGEX:
        return string_pb2.StringMatcher(safe_regex=proto.regex(match.value))
    return string_pb2.StringMatcher(prefix=match.value)


def segments(prefix: str) -> str:
    """A path prefix without its trailing slashes: `/v2/` and `/v2` mean the same, `/` becomes empty."""
    return prefix.rstrip("/")


def _path(message: route_components_pb2.RouteMatch, match: StringMatch) -> None:
    if match.matching is Matching.EXACT:
        message.path = match.value
    elif match.matching is Matching.REGEX:
        message.safe_regex.CopyFrom(proto.regex(match.value))
    elif match.matching is Matching.PREFIX and segments(match.value):
        message.path_separated_prefix = segments(match.value)
    elif match.matching is Matching.STRING_PREFIX:
        message.prefix = match.value
    else:
        message.prefix = "/"


def _header(match: NamedMatch) -> route_components_pb2.HeaderMatcher:
    message = route_components_pb2.HeaderMatcher(name=match.name, invert_match=match.inverted)
    if match.match.matching is Matching.PRESENT or _any_prefix(match.match):
        message.present_match = True
    else:
        message.string_match.CopyFrom(string_match(match.match))
        # "not equal" holds for a request without the header.
        message.treat_missing_header_as_empty = match.inverted
    return message


def _any_prefix(match: StringMatch) -> bool:
    return match.matching in (Matching.PREFIX, Matching.STRING_PREFIX) and not match.value


def _query(match: NamedMatch) -> route_components_pb2.QueryParameterMatcher:
    message = route_components_pb2.QueryParameterMatcher(name=match.name)
    if match.match.matching is Matching.PRESENT or _any_prefix(match.match):
        message.present_match = True
    else:
        message.string_match.CopyFrom(string_match(match.match))
    return message


def share_of(message: route_components_pb2.RouteMatch, parts: int) -> None:
    """Lets only so many parts of a million of the requests match, those of routes before included."""
    if parts < _MILLION:
        share = percent_pb2.FractionalPercent(numerator=parts, denominator=percent_pb2.FractionalPercent.MILLION)
        message.runtime_fraction.CopyFrom(base_pb2.RuntimeFractionalPercent(default_value=share))


def route_match(match: RequestMatch) -> route_components_pb2.RouteMatch:
    """The conditions of a rule; every one given must hold."""
    message = route_components_pb2.RouteMatch()
    _path(message, match.path)
    if match.ignore_path_case and match.path.matching is not Matching.REGEX:
        message.case_sensitive.CopyFrom(proto.false())
    for name, wanted in ((":method", match.method), (":scheme", match.scheme), (":authority", match.authority)):
        if wanted is not None:
            message.headers.append(_header(NamedMatch(name=name, match=wanted)))
    message.headers.extend(_header(header) for header in match.headers)
    message.query_parameters.extend(_query(parameter) for parameter in match.query)
    return message
