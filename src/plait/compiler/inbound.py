"""The inbound side: what callers reach before they reach the app.

Transparent capture has one listener with chains per port; explicit capture a listener per port, on the port that the
sidecar accepts for it. Per port there is a chain for mutual TLS (unless DISABLE) and, unless STRICT, a chain for
plaintext; a permissive port also passes on TLS that is not the mesh's (it lacks the mesh's server name), which is the
app's own.
An HTTP port that nothing needs requests of passes bytes for callers whose sidecars process HTTP, which they tell by
offering it (ALPN); the others (plaintext, a caller that itself passes bytes) have their requests looked at here, for
metrics and for the header that names the caller. The policies are the same for both, and decided on identity alone: as
soon as one needs a request the port is HTTP for everybody, so no caller can choose the weaker.

HTTP policies are in the routes, so a change of them is in force at once, on open connections too; byte streams are
authorized by network filters, in force on open connections when the changed chain has drained.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from envoy.config.core.v3 import base_pb2
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from envoy.extensions.filters.listener.tls_inspector.v3 import tls_inspector_pb2

from plait.compiler import inbound_http, metrics, tcp, tls
from plait.compiler.outbound import original_destination
from plait.compiler.policies import authorization, limits, streams
from plait.envoy import names, proto
from plait.model.security import MutualTlsMode
from plait.model.services import Capture, Protocol
from plait.model.view import InboundMode, InboundPort, View

Chain = listener_components_pb2.FilterChain
Match = listener_components_pb2.FilterChainMatch

PORT: Final = 15006
_OFFERED_WITH_REQUESTS: Final = ("h2", "http/1.1")
_SNIFF_TIMEOUT: Final = 0.5
"""How long a caller of a permissive port may stay silent before it counts as plaintext: the server speaks first."""


def listeners(view: View) -> list[listener_pb2.Listener]:
    """The inbound listeners of a workload, and those behind ports published on loopback."""
    own = (
        [_transparent(view)]
        if view.capture is Capture.TRANSPARENT
        else [_explicit(view, port) for port in view.inbound if port.sidecar_port]
    )
    return own + [_published(view, at, app) for at, app in view.publish]


def app_ports(view: View) -> list[InboundPort]:
    """The ports of the app that anything leads to; one that is only published passes bytes."""
    listed = {port.number for port in view.inbound}
    policies = view.unlisted.policies if view.unlisted else ()
    published = dict.fromkeys(app for _, app in view.publish if app not in listed)
    return [
        *view.inbound,
        *(
            InboundPort(
                number=app,
                protocol=Protocol.TCP,
                mutual_tls=MutualTlsMode.STRICT,
                mode=InboundMode.BYTES,
                policies=policies,
            )
            for app in published
        ),
    ]


def _transparent(view: View) -> listener_pb2.Listener:
    chains = [chain for port in view.inbound for chain in port_chains(view, port)] or [_nothing()]
    message = _listener(names.INBOUND_LISTENER, "0.0.0.0", PORT, chains)  # noqa: S104 (nft refuses the port itself)
    message.listener_filters.extend([original_destination(), _tls_inspector(view.inbound)])
    if view.unlisted is not None and view.unlisted.mutual_tls is not MutualTlsMode.STRICT:
        message.default_filter_chain.CopyFrom(_unlisted(view, view.unlisted))
    if message.HasField("default_filter_chain") or any(_may_be_silent(port) for port in view.inbound):
        _wait_for_silent_callers(message)
    return message


def _wait_for_silent_callers(message: listener_pb2.Listener) -> None:
    message.listener_filters_timeout.CopyFrom(proto.seconds(_SNIFF_TIMEOUT))
    message.continue_on_listener_filters_timeout = True


def _nothing() -> Chain:
    """A chain for a workload that serves nothing: a listener must have one, and this closes what it gets."""
    log = metrics.connections(metrics.destination("-", 0, secure=False))
    closing = tcp.to_cluster("inbound_nothing", names.BLACKHOLE_CLUSTER, log)
    return Chain(name="nothing", filter_chain_match=Match(destination_port=proto.number(PORT)), filters=[closing])


def _explicit(view: View, port: InboundPort) -> listener_pb2.Listener:
    chains = port_chains(view, port)
    for chain in chains:
        chain.filter_chain_match.ClearField("destination_port")
    name = names.inbound_listener(port.number)
    message = _listener(name, "0.0.0.0", port.sidecar_port, chains)  # noqa: S104 (other machines call it)
    if port.mutual_tls is not MutualTlsMode.DISABLE:  # else it would wait for a caller whose server speaks first
        message.listener_filters.append(_tls_inspector(()))
    if _may_be_silent(port):
        _wait_for_silent_callers(message)
    return message


def _listener(name: str, address: str, port: int, chains: Iterable[Chain]) -> listener_pb2.Listener:
    return listener_pb2.Listener(
        name=name,
        address=proto.socket_address(address, port),
        traffic_direction=base_pb2.INBOUND,
        enable_reuse_port=proto.true(),
        filter_chains=chains,
    )


def _may_be_silent(port: InboundPort) -> bool:
    """Whether a plaintext caller may wait for the server to speak first."""
    return port.mutual_tls is MutualTlsMode.PERMISSIVE and not port.protocol.is_http


def _tls_inspector(ports: Iterable[InboundPort]) -> listener_components_pb2.ListenerFilter:
    message = listener_components_pb2.ListenerFilter(
        name="envoy.filters.listener.tls_inspector", typed_config=proto.packed(tls_inspector_pb2.TlsInspector())
    )
    disabled = [port.number for port in ports if port.mutual_tls is MutualTlsMode.DISABLE]
    predicates = [_on_port(number) for number in sorted(disabled)]
    if len(predicates) == 1:
        message.filter_disabled.CopyFrom(predicates[0])
    elif predicates:
        message.filter_disabled.or_match.rules.extend(predicates)
    return message


def _on_port(number: int) -> listener_components_pb2.ListenerFilterChainMatchPredicate:
    message = listener_components_pb2.ListenerFilterChainMatchPredicate()
    message.destination_port_range.start = number
    message.destination_port_range.end = number + 1
    return message


def port_chains(view: View, port: InboundPort) -> list[Chain]:
    """The chains of one port, most specific first."""
    at = proto.number(port.number)
    if port.mutual_tls is MutualTlsMode.DISABLE:
        return [_chain(view, port, "plaintext", Match(destination_port=at))]
    if port.mutual_tls is MutualTlsMode.STRICT:
        return [*_secure(view, port, Match(destination_port=at, transport_protocol="tls")), _refused(view, port)]
    ours = Match(destination_port=at, transport_protocol="tls", server_names=[names.MESH_SERVER_NAME])
    own_tls = Chain(
        name=f"{port.number}/own-tls",
        filter_chain_match=Match(destination_port=at, transport_protocol="tls"),
        filters=_bytes(view, port, secure=False),
    )
    plain = Match(destination_port=at, transport_protocol="raw_buffer")
    return [*_secure(view, port, ours), own_tls, _chain(view, port, "plaintext", plain)]


def _refused(view: View, port: InboundPort) -> Chain:
    """Closes plaintext connections to a strict port, and counts them.

    Without it they would fall to the chain for unlisted ports, and to an app that believes its port to be strict.
    """
    log = metrics.connections(metrics.destination(str(view.name), port.number, secure=False))
    match = Match(destination_port=proto.number(port.number), transport_protocol="raw_buffer")
    closing = tcp.to_cluster("inbound_refused", names.BLACKHOLE_CLUSTER, log)
    return Chain(name=f"{port.number}/refused", filter_chain_match=match, filters=[closing])


def _secure(view: View, port: InboundPort, match: Match) -> list[Chain]:
    """The chain for mutual TLS; two where callers that process HTTP are told from those that do not."""
    domain = view.identity.trust_domain
    chain = _chain(view, port, "mtls", match)
    chain.transport_socket.CopyFrom(tls.from_clients(domain, alpn(port)))
    if not _passes_requests(port):
        return [chain]
    chain.filter_chain_match.application_protocols.extend(_OFFERED_WITH_REQUESTS)
    streams = _chain(view, port, "mtls-streams", match)
    streams.transport_socket.CopyFrom(tls.from_clients(domain, ()))
    return [chain, streams]


def _passes_requests(port: InboundPort) -> bool:
    """Whether requests that the callers' sidecars have processed are passed on as bytes."""
    return port.protocol.is_http and port.mode is InboundMode.BYTES


def alpn(port: InboundPort) -> Sequence[str]:
    """What the port's chain offers: HTTP in both versions, or the app's own version passed as bytes."""
    if port.mode is InboundMode.HTTP:
        return ("h2", "http/1.1")
    if not port.protocol.is_http:
        return ()
    return ("h2",) if port.protocol.is_http2 else ("http/1.1",)


def _chain(view: View, port: InboundPort, kind: str, match: Match) -> Chain:
    secure = kind.startswith("mtls")
    as_bytes = not port.protocol.is_http or (kind == "mtls" and _passes_requests(port))
    filters = (
        _bytes(view, port, secure=secure) if as_bytes else [inbound_http.network_filter(view, port, secure=secure)]
    )
    return Chain(name=f"{port.number}/{kind}", filter_chain_match=match, filters=filters)


def _bytes(view: View, port: InboundPort, *, secure: bool) -> list[listener_components_pb2.Filter]:
    log = metrics.connections(metrics.destination(str(view.name), port.number, secure=secure))
    place = authorization.Place(port=port.number, http=False)
    proxy = tcp.to_cluster(f"inbound_{port.number}", names.inbound_cluster(port.number), log)
    limited = () if port.protocol.is_http else limits.network_filters(port.protection)
    return [*streams.network_filters(port.policies, place), *limited, proxy]


def _unlisted(view: View, port: InboundPort) -> Chain:
    log = metrics.connections(metrics.destination(str(view.name), 0, secure=False))
    place = authorization.Place(port=0, http=False)
    proxy = tcp.to_cluster("inbound_unlisted", names.PASSTHROUGH_CLUSTER, log)
    return Chain(name="unlisted", filters=[*streams.network_filters(port.policies, place), proxy])


def _published(view: View, at: int, app: int) -> listener_pb2.Listener:
    """Plaintext from the machine's loopback, whatever mutual TLS asks of others; policies apply without principal."""
    port = next(port for port in app_ports(view) if port.number == app)
    address = "0.0.0.0" if view.capture is Capture.TRANSPARENT else "127.0.0.1"  # noqa: S104 (inside its namespace)
    return _listener(names.publish_listener(at), address, at, [_chain(view, port, "published", Match())])
