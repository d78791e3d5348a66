"""Linking Gateways: those of our class, with the routes, Secrets and proxies they have now."""

from plait.model.gateways import TlsCertificate
from plait.model.ids import ObjectName
from plait.snapshot.attach import GATEWAY_GROUP
from plait.snapshot.client_certificates import SecretLookup
from plait.snapshot.declared import DeclaredGateway
from plait.snapshot.dirty import Dirty
from plait.snapshot.gateways import GatewayLookup, is_ours, link_gateway
from plait.snapshot.links import Stage
from plait.snapshot.workload_table import serves


def link_gateways(stage: Stage, dirty: Dirty) -> None:
    """Link every marked Gateway again; the routes that name it get their status again."""
    tables, links = stage.tables, stage.links
    for name in dirty.gateways:
        stage.effects.work["gateways"] += 1
        declared = tables.gateways.gateways.get(name)
        dirty.answers.update(tables.routes.attached_to((GATEWAY_GROUP, "Gateway", name)))
        if declared is None or not is_ours(declared.gateway_class, tables.gateways.classes.get(declared.gateway_class)):
            links.linked_gateways.pop(name, None)
            links.gateways.put(name, None)
            continue
        linked = link_gateway(declared, _lookup(stage, declared))
        links.linked_gateways[name] = linked
        links.gateways.put(name, linked.gateway)
    if dirty.gateways:
        link_certificates(stage)


def _lookup(stage: Stage, gateway: DeclaredGateway) -> GatewayLookup:
    tables = stage.tables
    names = tables.routes.attached_to((GATEWAY_GROUP, "Gateway", gateway.name))
    resolved = (stage.links.gateway_routes.get(name) for name in names)
    proxies = tables.workloads.proxies(gateway.name)
    return GatewayLookup(
        routes=[route for route in resolved if route is not None],
        secrets=SecretLookup(
            secret=tables.gateways.secrets.get,
            grants=tables.gateways.grants,
            authorities=tables.backend_tls.authorities.get,
        ),
        namespace_labels=tables.gateways.namespaces.get,
        addresses=tuple(dict.fromkeys(proxy.address for proxy in proxies if serves(proxy))),
    )


def link_certificates(stage: Stage) -> None:
    """Hold the certificates that any gateway proves itself by, and no others."""
    links = stage.links
    wanted: dict[ObjectName, TlsCertificate] = dict(links.edge_certificates)
    for linked in links.linked_gateways.values():
        wanted.update(linked.certificates)
    for name in links.certificates.values().keys() | wanted.keys():
        links.certificates.put(name, wanted.get(name))
