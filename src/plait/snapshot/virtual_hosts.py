"""Hosts that nobody but a VirtualService has: callers find them like those of ServiceEntries, by an address.

Only full names that cannot be a Service's own count (`api.shop`, not `api` or `api.shop.svc`), so that a name that was
mistyped stays unknown. The ports are 80 for `http`, 443 for `tls`, and all that matches or destinations name.
"""

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from plait.model.ids import ObjectName, Origin
from plait.model.services import Protocol
from plait.resources.istio.virtual_service import VirtualServiceSpec
from plait.snapshot.declared import DeclaredPort, DeclaredService
from plait.snapshot.entry_merging import merged
from plait.snapshot.exports import seen_from
from plait.snapshot.services import CLUSTER_DOMAIN, entries_of, entry_name, owner_of
from plait.snapshot.virtual_destinations import MESH

_HTTP: Final = 80
_TLS: Final = 443
_OF_SERVICES: Final = (".svc", f".svc.{CLUSTER_DOMAIN}")


def own_hosts(hosts: Iterable[str], gateways: Iterable[str]) -> tuple[str, ...]:
    """The hosts of a VirtualService that may exist without a service; none if it is not for sidecars."""
    if MESH not in (tuple(gateways) or (MESH,)):
        return ()
    names = (host.rstrip(".").lower() for host in hosts)
    return tuple(dict.fromkeys(name for name in names if _may_be_own(name)))


def _may_be_own(host: str) -> bool:
    return "." in host and not host.startswith("*") and not host.endswith(_OF_SERVICES) and not _is_address(host)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def declare_hosts(
    name: ObjectName, spec: VirtualServiceSpec, *, allocated: Mapping[str, str], created: float, origin: Origin
) -> tuple[DeclaredService, ...]:
    """What a VirtualService declares at its hosts, should nobody else do; `allocated` are their addresses."""
    ports = tuple(_ports(spec))
    return tuple(
        DeclaredService(
            name=entry_name(name.namespace, host),
            host=host,
            address=allocated.get(host, ""),
            ports=ports,
            exported_to=seen_from(spec.export_to, name.namespace),
            created=created,
            origin=origin,
        )
        for host in own_hosts(spec.hosts, spec.gateways)
        if ports
    )


def _ports(spec: VirtualServiceSpec) -> Iterable[DeclaredPort]:
    tcp = {match.port for tcp in spec.tcp for match in tcp.match if match.port}
    tls = {match.port or _TLS for tls in spec.tls for match in tls.match}
    http = {match.port for route in spec.http for match in route.match if match.port}
    http |= {
        item.destination.port.number
        for route in spec.http
        for item in route.route
        if item.destination.port is not None and item.destination.port.number
    }
    http |= {_HTTP} if spec.http else set()
    found = {
        **dict.fromkeys(http, Protocol.HTTP),
        **dict.fromkeys(tls, Protocol.TLS),
        **dict.fromkeys(tcp, Protocol.TCP),
    }
    for number in sorted(found):
        protocol = found[number]
        yield DeclaredPort(number=number, name=f"{protocol.value}-{number}", target=number, protocol=protocol)


def joined(candidates: Iterable[DeclaredService]) -> DeclaredService | None:
    """The owner of a host. ServiceEntries that have it together are one service, as far as `entry_merging` says.

    VirtualServices that have it together are one too: every namespace that sees one sees it.
    """
    found = tuple(candidates)
    owner = owner_of(found)
    if owner is not None and owner.origin.kind == "ServiceEntry":
        return merged(entries_of(found))
    if owner is None or not owner.is_virtual or len(found) == 1:
        return owner
    ports = {
        port.number: port for item in sorted(found, key=lambda item: item.created, reverse=True) for port in item.ports
    }
    everywhere = not all(item.exported_to for item in found)
    seen = () if everywhere else tuple(sorted({name for item in found for name in item.exported_to}))
    return replace(owner, ports=tuple(ports[number] for number in sorted(ports)), exported_to=seen)


def spelled_as_service(host: str) -> str:
    """The host of the Service that a host of a VirtualService would mean if there were one."""
    return f"{host}.svc.{CLUSTER_DOMAIN}"
