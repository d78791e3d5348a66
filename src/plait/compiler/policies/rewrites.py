"""New paths and hosts, for requests on their way to a backend and for redirects.

Gateway API replaces the *segments* a prefix matched: `/a` replaced by `/` turns `/a/b` into `/b` and `/a` into `/`,
where Envoy's prefix_rewrite would give `//b`. Such cases become expressions.
"""

from envoy.config.route.v3 import route_components_pb2
from envoy.type.matcher.v3 import regex_pb2

from plait.compiler.matches import segments
from plait.compiler.policies import headers
from plait.envoy import proto
from plait.model.traffic import Matching, PathChange, Rule, StringMatch

WHOLE_PATH = "^.*$"

Target = route_components_pb2.RouteAction | route_components_pb2.RedirectAction


def on_route(message: route_components_pb2.RouteAction, rule: Rule) -> None:
    """Applies a rule's rewrite of host and path; a Host set as a header is a rewrite as well."""
    host = (rule.rewrite.hostname if rule.rewrite else "") or headers.host(rule.request_headers)
    if host:
        message.host_rewrite_literal = host
    if rule.rewrite and rule.rewrite.path:
        _rewrite(message, rule.rewrite.path, rule.match.path)


def redirect_path(message: route_components_pb2.RedirectAction, change: PathChange, matched: StringMatch) -> None:
    """Applies a redirect's change of path."""
    if change.prefix or change.pattern:
        _rewrite(message, change, matched)
    else:
        message.path_redirect = change.value or "/"


def _rewrite(message: Target, change: PathChange, matched: StringMatch) -> None:
    if change.pattern:
        _substitute(message, change.pattern, change.value)
    elif not change.prefix or matched.matching in (Matching.EXACT, Matching.REGEX):
        _substitute(message, WHOLE_PATH, _quoted(change.value or "/"))
    elif matched.matching is Matching.STRING_PREFIX:
        message.prefix_rewrite = change.value
    else:
        _replace_segments(message, segments(matched.value), segments(change.value))


def _replace_segments(message: Target, old: str, new: str) -> None:
    if old and new:
        message.prefix_rewrite = new
        return
    # One of them is the root: what is left of the path starts with exactly one slash.
    _substitute(message, f"^{proto.quoted(old)}/?(.*)$", _quoted(new) + "/\\1")


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\")


def _substitute(message: Target, pattern: str, substitution: str) -> None:
    message.regex_rewrite.CopyFrom(
        regex_pb2.RegexMatchAndSubstitute(pattern=proto.regex(pattern), substitution=substitution)
    )
