"""Whom a route asks whether requests are allowed, read from Envoy's own messages."""

from envoy.config.route.v3 import route_components_pb2
from envoy.extensions.common.matching.v3 import extension_matcher_pb2
from envoy.extensions.filters.http.composite.v3 import composite_pb2
from envoy.extensions.filters.http.ext_authz.v3 import ext_authz_pb2

from plait.envoy import names


def of(route: route_components_pb2.Route) -> str:
    """The cluster of the authorizer; empty if requests are not asked about."""
    if names.AUTHORIZER_FILTER not in route.typed_per_filter_config:
        return ""
    chosen = extension_matcher_pb2.ExtensionWithMatcherPerRoute()
    action, asking = composite_pb2.ExecuteFilterAction(), ext_authz_pb2.ExtAuthz()
    route.typed_per_filter_config[names.AUTHORIZER_FILTER].Unpack(chosen)
    chosen.xds_matcher.on_no_match.action.typed_config.Unpack(action)
    action.typed_config.typed_config.Unpack(asking)
    return asking.grpc_service.envoy_grpc.cluster_name or asking.http_service.server_uri.cluster
