"""Listeners of gateways that route connections: TCP, TLS that is passed through, TLS that ends here.

A TCP listener has its port to itself. Listeners with TLS share one, each route's server names being a chain, so that a
name that no route has finds no chain and its connection is closed.
"""

from collections.abc import Iterator

from envoy.config.listener.v3 import listener_components_pb2

from plait.compiler import connections, metrics, tls
from plait.compiler.policies import authorization, streams
from plait.envoy import names
from plait.model.gateways import GatewayListener
from plait.model.l4 import L4Rule
from plait.model.services import Protocol
from plait.model.view import View

Chain = listener_components_pb2.FilterChain


def chains(view: View, item: GatewayListener) -> Iterator[Chain]:
    """The chains of a listener that routes connections."""
    known = connections.known(view)
    log = metrics.connections(metrics.source(str(view.gateway or view.name), str(view.identity)))
    rules = item.l4_rules if item.protocol is Protocol.TLS else item.l4_rules[:1]
    asked = streams.network_filters(view.policies, authorization.Place(port=item.port, http=False))
    for chain in connections.chains(rules or (L4Rule(name="no route"),), known, log):
        chain.name = f"{item.name}/{chain.name}"
        if item.protocol is Protocol.TLS:
            _secure(chain, item, view.identity.trust_domain)
        filters = [*asked, *chain.filters]
        del chain.filters[:]
        chain.filters.extend(filters)
        yield chain


def _secure(chain: Chain, item: GatewayListener, trust_domain: str) -> None:
    chain.filter_chain_match.transport_protocol = "tls"
    if not chain.filter_chain_match.server_names and item.hostname:
        chain.filter_chain_match.server_names.append(item.hostname)
    if item.tls:
        certificates = [names.gateway_secret(name.namespace, name.name) for name in item.certificates]
        ended = tls.from_outside(certificates, alpn=(), terms=item.terms, trust_domain=trust_domain)
        chain.transport_socket.CopyFrom(ended)
