"""What an Envoy's asking for a resource by name means: demand for the host that the resource leads to."""

from collections.abc import Callable, Mapping
from typing import Final

from plait.envoy import names
from plait.envoy.types import CLUSTER, ROUTE


def _host_of_route(route: str) -> str | None:
    frontend = names.parse_route(route)
    return frontend[0] if frontend else None


def _host_of_cluster(cluster: str) -> str | None:
    place = names.parse_direct_cluster(cluster)
    return names.dialled(*place) if place else None


DEMANDING: Final[Mapping[str, Callable[[str], str | None]]] = {ROUTE: _host_of_route, CLUSTER: _host_of_cluster}
"""The types that Envoy asks for by name when something is called first, and the demand that a name stands for."""
