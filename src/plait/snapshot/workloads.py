"""WorkloadEntry objects to workloads.

A running workload registers itself as a WorkloadEntry whose annotations (`plait.dev/...`) tell what Istio's fields
cannot: its machine, published ports, protocols, phase. An entry without `plait.dev/node` was written by a user: it is
outside the mesh, unless it names a service account that it can prove to be.
"""

from collections.abc import Mapping
from typing import Final

from plait.model.ids import Identity, ObjectName, Origin
from plait.model.services import Capture, Labels, Protocol, Workload, WorkloadKind, WorkloadPort
from plait.resources.istio.workload_entry import WorkloadEntrySpec
from plait.snapshot.declared import DeclaredWorkload
from plait.snapshot.protocols import declared_protocol

PREFIX: Final = "plait.dev/"
_LEAVING: Final = frozenset({"Draining", "Exited"})
_RUNNING: Final = frozenset({"", "Running"})
_OUTBOUND_PORT: Final = 15001
_DEFAULT_ACCOUNT: Final = "default"


def declare_workload(
    name: ObjectName,
    spec: WorkloadEntrySpec,
    *,
    metadata: tuple[Mapping[str, str], Mapping[str, str]],
    trust_domain: str,
    origin: Origin,
) -> DeclaredWorkload:
    """The workload that an entry (with its metadata's labels and annotations) stands for."""
    labels, annotations = metadata
    notes = {key[len(PREFIX) :]: value for key, value in annotations.items() if key.startswith(PREFIX)}
    phase = notes.get("phase", "")
    kind = WorkloadKind.GATEWAY if notes.get("kind") == "gateway" else WorkloadKind.SIDECAR
    node = notes.get("node", "")
    account = spec.service_account or _DEFAULT_ACCOUNT
    identity = Identity(trust_domain=trust_domain, namespace=name.namespace, service_account=account)
    return DeclaredWorkload(
        workload=Workload(
            name=name,
            node=node,
            address=spec.address,
            machine_address=notes.get("machine-address", ""),
            identity=identity,
            labels=labels_of({**_gateway_labels(notes), **labels, **spec.labels}),
            ports=_ports(spec.ports, notes),
            services=_services(notes.get("services", "")),
            locality=spec.locality,
            capture=Capture.EXPLICIT if notes.get("capture") == "explicit" else Capture.TRANSPARENT,
            kind=kind,
            gateway=_gateway(name, notes.get("gateway", "")) if kind is WorkloadKind.GATEWAY else None,
            gateway_ports=number_pairs(notes.get("gateway-ports", "")),
            ready=phase in _RUNNING and notes.get("ready", "true") != "false",
            in_mesh=bool(node or spec.service_account),
            weight=spec.weight or 1,
            leaving=phase in _LEAVING,
            publish=number_pairs(notes.get("publish", "")),
            outbound_port=_number(notes.get("outbound-port", "")) or _OUTBOUND_PORT,
            proxy_generation=_number(notes.get("proxy-generation", "")),
            origin=origin,
        )
    )


def labels_of(labels: Mapping[str, str]) -> Labels:
    """Labels as the model keeps them."""
    return tuple(sorted(labels.items()))


def selects(selector: Labels, labels: Labels) -> bool:
    """Whether all labels of the selector are among the labels; an empty selector selects everything."""
    return not selector or frozenset(labels).issuperset(selector)


def pairs(text: str) -> tuple[tuple[str, str], ...]:
    """The pairs of `a=b,c=d`; parts that are none are left out."""
    if not text:
        return ()
    parts = (part.partition("=") for part in text.split(",") if "=" in part)
    return tuple((key.strip(), value.strip()) for key, _, value in parts)


def number_pairs(text: str) -> tuple[tuple[int, int], ...]:
    """The pairs of port numbers of `8080=31001,...`."""
    if not text:
        return ()
    numbers = ((_number(key), _number(value)) for key, value in pairs(text))
    return tuple(pair for pair in numbers if all(pair))


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0


def _ports(named: Mapping[str, int], notes: Mapping[str, str]) -> tuple[WorkloadPort, ...]:
    published = dict(number_pairs(notes.get("published", "")))
    sidecars = dict(number_pairs(notes.get("sidecar-ports", "")))
    protocols = _protocols(notes.get("protocols", ""))
    listed = [(number, name) for name, number in named.items()]
    unnamed = {*published, *sidecars, *protocols}.difference(named.values())
    listed += [(number, "") for number in unnamed]
    return tuple(
        WorkloadPort(
            number=number,
            name=name,
            protocol=protocols.get(number),
            published=published.get(number, 0),
            sidecar=sidecars.get(number, 0),
        )
        for number, name in sorted(listed)
    )


def _protocols(text: str) -> Mapping[int, Protocol]:
    if not text:
        return {}
    found = ((_number(key), declared_protocol(value)) for key, value in pairs(text))
    return {number: protocol for number, protocol in found if number and protocol}


def _services(text: str) -> tuple[tuple[str, int, int], ...]:
    if not text:
        return ()
    found = ((*_service_port(key), _number(value)) for key, value in pairs(text))
    return tuple(sorted(entry for entry in found if all(entry)))


def _service_port(text: str) -> tuple[str, int]:
    name, _, port = text.rpartition(":")
    return name, _number(port)


def _gateway_labels(notes: Mapping[str, str]) -> Mapping[str, str]:
    """The labels by which Istio's Gateways choose the gateway of that name: `istio: NAME` and `app: NAME`."""
    name = notes.get("gateway", "").rpartition("/")[2]
    return {"istio": name, "app": name} if name and notes.get("kind") == "gateway" else {}


def _gateway(workload: ObjectName, text: str) -> ObjectName | None:
    namespace, _, name = text.rpartition("/")
    return ObjectName(namespace=namespace or workload.namespace, name=name) if name else None
