"""Parts of declared VirtualServices: where their rules lead to, and the rules of HTTP with their matches."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from plait.model.ids import ObjectName, Origin
from plait.model.traffic import HeaderChange, Rule
from plait.resources.istio import matches as api
from plait.resources.istio.virtual_service import HTTPRoute
from plait.snapshot.declared_routes import NO_HEADERS
from plait.snapshot.names import possible_hosts

MESH: Final = "mesh"
"""What a VirtualService calls the sidecars, among its gateways."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualDestination:
    """Where a share of a rule's requests goes: `hosts` are what the written name may mean, the first that is wins.

    `port` is 0 where none is given. `share` is used for mirrors, of 1.
    """

    hosts: tuple[str, ...]
    port: int = 0
    subset: str = ""
    weight: int = 1
    share: float = 1.0
    request_headers: HeaderChange = NO_HEADERS
    response_headers: HeaderChange = NO_HEADERS
    origin: Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualRule:
    """One match of an HTTP rule: `rule` lacks destinations and mirrors; `port` is 0 for all.

    `gateways` are where it holds (`mesh`, `namespace/name`), empty for wherever its VirtualService does.
    """

    rule: Rule
    port: int = 0
    gateways: tuple[str, ...] = ()
    destinations: tuple[VirtualDestination, ...] = ()
    mirrors: tuple[VirtualDestination, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualRoute:
    """An HTTP rule as written, and the rules that it means; one with a delegate means what that says."""

    written: HTTPRoute
    origin: Origin
    rules: tuple[VirtualRule, ...]
    problems: tuple[str, ...] = ()

    @property
    def delegate(self) -> ObjectName | None:
        """The VirtualService that decides in its stead."""
        found = self.written.delegate
        if found is None:
            return None
        return ObjectName(namespace=found.namespace or self.origin.namespace, name=found.name)


def gateway_names(written: Iterable[str], namespace: str) -> tuple[str, ...]:
    """Gateways as `namespace/name`; `mesh` stays."""
    return tuple(name if "/" in name or name == MESH else f"{namespace}/{name}" for name in written)


def virtual_destination(written: api.Destination, origin: Origin) -> VirtualDestination:
    """A destination that is written at that place."""
    return VirtualDestination(
        hosts=possible_hosts(written.host, origin.namespace),
        port=(written.port.number or 0) if written.port else 0,
        subset=written.subset or "",
        origin=origin,
    )
