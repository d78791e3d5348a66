"""Gateways of both APIs: listeners that claim the same place, gateways that nobody uses or reaches."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

from plait.analysis import messages
from plait.analysis.fields import Field
from plait.analysis.findings import Finding
from plait.analysis.mesh import GATEWAY, ISTIO, Item, Mesh
from plait.analysis.references import ROUTES
from plait.analysis.virtual_services import gateways_of
from plait.model.gateways import BUILT_IN_CLASSES, CONTROLLER


@dataclass(frozen=True, slots=True)
class _Server:
    """A server of Istio's Gateway: where it listens, and for whom."""

    item: Item
    field: Field

    @property
    def port(self) -> int:
        return self.field.at("port", "number").number

    @property
    def hosts(self) -> tuple[str, ...]:
        return tuple(text.rpartition("/")[2] for text in self.field["hosts"].texts())

    @property
    def selector(self) -> dict[str, str]:
        return self.item.spec["selector"].labels


def conflicting(mesh: Mesh) -> Iterator[Finding]:
    """Servers of Istio's Gateways for the same port and host; Gateway API's schema refuses such listeners itself."""
    servers = [_Server(item, field) for item in mesh.of(ISTIO, "Gateway") for field in item.spec["servers"].items()]
    for one, other in combinations(servers, 2):
        shared = sorted(set(one.hosts) & set(other.hosts))
        if one.port == other.port and one.selector == other.selector and shared:
            sentence = f"Gateway {one.item.full_name} takes {', '.join(shared)} at port {one.port} of the same proxies"
            yield other.item.find(messages.CONFLICTING_GATEWAYS, other.field, sentence, "leave it to one of them")


def unused(mesh: Mesh) -> Iterator[Finding]:
    """Gateways that no route names."""
    named = {
        (reference["namespace"].text or item.namespace, reference["name"].text)
        for item in mesh.of(GATEWAY, *ROUTES)
        for reference in item.spec["parentRefs"].items()
        if (reference["kind"].text or "Gateway") == "Gateway"
    }
    bound = {name for item in mesh.of(ISTIO, "VirtualService") for name, _ in gateways_of(item)}
    for item in mesh.of(GATEWAY, "Gateway"):
        if (item.namespace, item.name) not in named:
            yield item.find(messages.NO_ROUTES, "metadata.name", "no route names this Gateway", "add one, or remove it")
    for item in mesh.of(ISTIO, "Gateway"):
        if item.full_name not in bound:
            sentence = "no VirtualService names this Gateway"
            yield item.find(messages.NO_ROUTES, "metadata.name", sentence, "add one, or remove it")


def unserved(mesh: Mesh) -> Iterator[Finding]:
    """Gateways of Gateway API whose class is another controller's, or nobody's."""
    controllers = {item.name: item.spec["controllerName"].text for item in mesh.of(GATEWAY, "GatewayClass")}
    for item in mesh.of(GATEWAY, "Gateway"):
        field = item.spec["gatewayClassName"]
        owner = controllers.get(field.text, CONTROLLER if field.text in BUILT_IN_CLASSES else "")
        if field.text and owner != CONTROLLER:
            whose = f"is of the controller {owner}" if owner else "does not exist"
            sentence = f"GatewayClass {field.text} {whose}, so plait gateway does not serve this Gateway"
            remedy = f"write gatewayClassName: plait, or a GatewayClass with controllerName: {CONTROLLER}"
            yield item.find(messages.UNSERVED_CLASS, field, sentence, remedy)


def selectors(mesh: Mesh) -> Iterator[Finding]:
    """Istio's Gateways whose selector finds no proxy, and ports that the Service in front of the proxies lacks."""
    for item in mesh.of(ISTIO, "Gateway"):
        labels = item.spec["selector"].labels
        if labels and mesh.judges_selection and not mesh.selected(labels, ""):
            sentence = f"no workload has {', '.join(f'{name}={value}' for name, value in sorted(labels.items()))}"
            remedy = "start a gateway with these labels, or correct the selector"
            yield item.find(messages.SELECTS_NOTHING, item.spec["selector"], sentence, remedy)
        yield from _unexposed(mesh, item, labels)


def _unexposed(mesh: Mesh, item: Item, labels: dict[str, str]) -> Iterator[Finding]:
    fronts = [
        service
        for service in mesh.of("", "Service")
        if (wanted := service.spec["selector"].labels) and wanted.items() <= labels.items()
    ]
    if not fronts:
        return
    exposed = {
        number
        for service in fronts
        for port in service.spec["ports"].items()
        for number in (port["port"].number, port["targetPort"].number)
    }
    for server in item.spec["servers"].items():
        number = server.at("port", "number")
        if number.number and number.number not in exposed:
            sentence = f"Service {fronts[0].full_name} of these proxies has no port {number.number}"
            yield item.find(messages.GATEWAY_PORT, number, sentence, "add the port to the Service")
