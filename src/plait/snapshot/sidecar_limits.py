"""What of a Sidecar is not done, in sentences for its status."""

from collections.abc import Iterator
from typing import Final

from plait.resources.istio.sidecar import IstioEgressListener, IstioIngressListener, SidecarSpec
from plait.snapshot.conditions import Problem

_CAPTURED: Final = "has no effect: calls are captured where the app makes them, at the service's own address"


def not_done(spec: SidecarSpec) -> Iterator[Problem]:
    """Every part of a Sidecar that has no effect here."""
    for index, ingress in enumerate(spec.ingress):
        yield from (_problem(f"ingress[{index}].{text}") for text in _of_ingress(ingress))
    for index, egress in enumerate(spec.egress):
        yield from (_problem(f"egress[{index}].{text}") for text in _of_egress(egress))
    policy = spec.outbound_traffic_policy
    if policy is not None and policy.egress_proxy is not None:
        yield _problem("outboundTrafficPolicy.egressProxy has no effect: calls to unknown hosts go there directly")


def app_port(endpoint: str) -> int:
    """The port at which a defaultEndpoint says that the app listens; 0 for none, and for what is not called there."""
    host, _, port = endpoint.rpartition(":")
    return int(port) if host in ("", "127.0.0.1", "0.0.0.0") and port.isdecimal() else 0  # noqa: S104 (the app's)


def _problem(sentence: str) -> Problem:
    return Problem(reason="UnsupportedValue", message=sentence)


def _of_ingress(listener: IstioIngressListener) -> Iterator[str]:
    number = listener.port.number
    if listener.port.protocol:
        yield "port.protocol has no effect: appProtocol or the name of the Service's port says what it speaks"
    if listener.default_endpoint and not app_port(listener.default_endpoint):
        yield f"defaultEndpoint has no effect: calls to port {number} go to that port of the app on 127.0.0.1"
    if listener.bind:
        yield "bind has no effect: calls to the workload's address are captured"
    if listener.capture_mode == "NONE":
        yield "captureMode has no effect: calls to the workload's address are captured"
    if listener.tls is not None:
        yield "tls has no effect: a PeerAuthentication says what the port accepts, other TLS reaches the app as it is"


def _of_egress(listener: IstioEgressListener) -> Iterator[str]:
    if listener.bind:
        yield f"bind {_CAPTURED}"
    if listener.capture_mode == "NONE":
        yield f"captureMode {_CAPTURED}"
    if listener.port is not None and listener.port.protocol.upper() == "HTTP_PROXY":
        yield "port has no effect: no HTTP proxy is opened there; its hosts may be called on all their ports"
