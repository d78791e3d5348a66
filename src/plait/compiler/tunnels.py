"""CONNECT: a request for a tunnel, passed on to the backend of the rule that takes it.

CONNECT has no path, so Envoy's path conditions never take it; it needs a route of its own, beside that of the rule.
What follows in the tunnel no proxy reads. So a sidecar passes on its own app's tunnels wherever a rule asks for no
path, but a proxy that stands before others passes on only what it was told to: a gateway by a rule with
`method: CONNECT`, a server's sidecar where no policy needs to read requests.
"""

from typing import Final

from envoy.config.route.v3 import route_components_pb2

from plait.compiler.matches import segments
from plait.envoy import proto
from plait.model.traffic import Matching, Rule, StringMatch

METHOD: Final = "CONNECT"
_ASKED: Final = StringMatch(matching=Matching.EXACT, value=METHOD)


def asked(rule: Rule) -> bool:
    """Whether the rule's method is CONNECT, for proxies that must not be passed by."""
    return rule.match.method == _ASKED and _any_path(rule)


def admitted(rule: Rule) -> bool:
    """Whether a request without a path may match the rule."""
    return rule.match.method in (None, _ASKED) and _any_path(rule)


def _any_path(rule: Rule) -> bool:
    path = rule.match.path
    prefix = path.matching in (Matching.PREFIX, Matching.STRING_PREFIX) and not segments(path.value)
    return prefix and not rule.match.query


def of(route: route_components_pb2.Route) -> route_components_pb2.Route:
    """The same route for CONNECT alone: bytes pass once the backend has agreed, and to no other, so without copies."""
    message = route_components_pb2.Route()
    message.CopyFrom(route)
    message.match.ClearField("path_specifier")
    message.match.connect_matcher.SetInParent()
    if message.HasField("route"):
        message.route.ClearField("request_mirror_policies")
        upgrade = route_components_pb2.RouteAction.UpgradeConfig(upgrade_type=METHOD, enabled=proto.true())
        message.route.upgrade_configs.append(upgrade)
    return message
