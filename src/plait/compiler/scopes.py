"""Scopes: which destination leads to which route configuration.

Keys are pushed to every sidecar ahead of demand, since Envoy answers 404 for a key it does not know; the routes
behind them are fetched with the first request (`on_demand`), which waits for them. What a workload has asked for
already is fetched at once.
"""

from collections.abc import Iterable, Mapping

from envoy.config.route.v3 import scoped_route_pb2

from plait.envoy import names
from plait.envoy.resource_set import Entry, entry_of
from plait.model.services import Capture
from plait.model.view import OutboundFrontend, ScopeKey


def scope_entry(key: ScopeKey, *, on_demand: bool) -> Entry:
    """The scope of one key."""
    scope = scoped_route_pb2.ScopedRouteConfiguration
    message = scope(
        name=names.scope(key.key),
        on_demand=on_demand,
        route_configuration_name=names.route(key.host, key.port),
        key=scope.Key(fragments=[scope.Key.Fragment(string_key=key.key)]),
    )
    return entry_of(message.name, message)


def scope_entries(keys: Iterable[ScopeKey]) -> Mapping[str, Entry]:
    """The scopes that are pushed to every sidecar; built once and shared by all."""
    entries = (scope_entry(key, on_demand=True) for key in keys)
    return {entry.name: entry for entry in entries}


def keys_of(frontend: OutboundFrontend, capture: Capture) -> tuple[ScopeKey, ...]:
    """The keys that lead to a frontend: its address, or every spelling of its authority."""
    if capture is Capture.TRANSPARENT:
        spellings = [f"{frontend.address}:{frontend.port}"] if frontend.address else []
    else:
        spellings = [f"{alias}:{frontend.port}" for alias in frontend.aliases]
        spellings += frontend.aliases if frontend.port == 80 else ()
    return tuple(ScopeKey(key=key, host=frontend.host, port=frontend.port) for key in spellings)
