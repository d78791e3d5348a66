"""Header changes of a rule or of one of its destinations.

Set, add and remove apply in that order, so a header that is both added and removed is gone. Values are literal:
Envoy would read `%` as its own format. Envoy forbids changing Host as a header; that is a host rewrite. No rule writes
the header that names the caller: a server that passes bytes would hand it to the app as the mesh's own word.
"""

from collections.abc import Iterable

from envoy.config.core.v3 import base_pb2
from envoy.config.route.v3 import route_components_pb2

from plait.envoy import names, proto
from plait.model.traffic import HeaderChange

Option = base_pb2.HeaderValueOption

Target = route_components_pb2.Route | route_components_pb2.WeightedCluster.ClusterWeight


def host(change: HeaderChange) -> str:
    """The Host that a change of request headers sets, or nothing."""
    values = [value for name, value in (*change.set, *change.add) if name.lower() == "host"]
    return values[-1] if values and "host" not in {name.lower() for name in change.remove} else ""


def _option(name: str, value: str, *, append: bool) -> Option:
    action = Option.APPEND_IF_EXISTS_OR_ADD if append else Option.OVERWRITE_IF_EXISTS_OR_ADD
    return Option(
        header=base_pb2.HeaderValue(key=name, value=proto.literal(value)),
        append_action=action,
        keep_empty_value=True,
    )


def _options(change: HeaderChange, skipped: Iterable[str]) -> list[Option]:
    gone = {name.lower() for name in change.remove} | set(skipped)
    options = [_option(name, value, append=False) for name, value in change.set if name.lower() not in gone]
    options += [_option(name, value, append=True) for name, value in change.add if name.lower() not in gone]
    return options


def on_route(message: Target, *, request: HeaderChange, response: HeaderChange) -> None:
    """Applies the changes to a route or to a weighted destination."""
    message.request_headers_to_add.extend(_options(request, ("host", names.CALLER_HEADER)))
    message.request_headers_to_remove.extend(name for name in request.remove if name.lower() != "host")
    message.response_headers_to_add.extend(_options(response, ()))
    message.response_headers_to_remove.extend(response.remove)
