"""HTTP in front of the app: who calls is told to the app, and who may not call is told why.

The two RBAC filters are always there and empty; rules are in the route configuration (`typed_per_filter_config`), so
that a changed policy is in force at once on open connections, with no listener changed and nothing drained.
"""

from envoy.config.listener.v3 import listener_components_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2

from plait.compiler import denials, http, metrics, routes, tunnels
from plait.compiler.filters import HttpFilter, http_filter
from plait.compiler.policies import authorization, limits, protection, shared_limits
from plait.envoy import names, proto
from plait.model.view import InboundPort, View


def filters() -> list[HttpFilter]:
    """The filters that ask for authorization policies."""
    return [http_filter(name, rbac_pb2.RBAC()) for _, name in authorization.FILTERS]


def network_filter(view: View, port: InboundPort, *, secure: bool) -> listener_components_pb2.Filter:
    """The connection manager of a port, for mutual TLS or for plaintext."""
    reporter = metrics.destination(str(view.name), port.number, secure=secure)
    message = http.manager(f"inbound_{port.number}", metrics.requests(reporter))
    message.forward_client_cert_details = http.Manager.SANITIZE_SET
    message.set_current_client_cert_details.uri = True
    # Policies on paths must not be evaded by `/x/../admin`.
    message.normalize_path.CopyFrom(proto.true())
    if secure:
        message.local_reply_config.mappers.append(denials.by_server())
    message.local_reply_config.mappers.extend(protection.by_server(port.protection))
    if port.protection.adaptive or port.protection.admission_control:
        message.access_log.append(metrics.shed(reporter))
    http.routes_by_name(message, names.inbound_route(port.number))
    return http.network_filter(http.add_filters(message, [*filters(), *limits.http_filters(port.protection)]))


def route_configuration(port: InboundPort) -> route_pb2.RouteConfiguration:
    """Everything goes to the app, past the policies that select it."""
    action = route_components_pb2.RouteAction(
        cluster=names.inbound_cluster(port.number),
        timeout=proto.seconds(0),
        idle_timeout=proto.seconds(0),
    )
    route = route_components_pb2.Route(
        name=routes.DEFAULT_ROUTE, match=route_components_pb2.RouteMatch(prefix=""), route=action
    )
    if port.tells_caller:
        route.request_headers_to_remove.extend(names.CALLER_SPELLINGS)
    authorization.on_route(route, port.policies, authorization.Place(port=port.number, http=True))
    limits.on_route(route, port.protection)
    shared_limits.on_route(route, port.protection)
    found = [route]
    if not port.policies and not port.tells_caller:
        found.append(tunnels.of(route))
    host = routes.virtual_host("app", ("*",), found)
    return routes.configuration(names.inbound_route(port.number), [host])
