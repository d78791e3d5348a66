"""Authorization of connections of which only bytes are known: network filters that ask the policies' rules."""

from collections.abc import Iterable

from envoy.config.listener.v3 import listener_components_pb2
from envoy.config.rbac.v3 import rbac_pb2
from envoy.extensions.filters.network.rbac.v3 import rbac_pb2 as network_rbac_pb2

from plait.compiler.policies import authorization
from plait.envoy import proto
from plait.model.security import Action, AuthorizationPolicy


def network_filters(
    policies: Iterable[AuthorizationPolicy], place: authorization.Place
) -> list[listener_components_pb2.Filter]:
    """The filters for these policies, those that deny first."""
    listed = tuple(policies)
    compiled = [authorization.rules(listed, action, place) for action in (Action.DENY, Action.ALLOW)]
    return [_network_rbac(item) for item in compiled if item is not None]


def _network_rbac(rules: rbac_pb2.RBAC) -> listener_components_pb2.Filter:
    config = network_rbac_pb2.RBAC(rules=rules, stat_prefix="inbound.")
    return listener_components_pb2.Filter(
        name=f"plait.{rbac_pb2.RBAC.Action.Name(rules.action).lower()}", typed_config=proto.packed(config)
    )
