"""The objects under analysis, indexed: by kind, services by host, workloads with their labels."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from plait.analysis.fields import Field
from plait.analysis.findings import Finding, Message
from plait.model.ids import ObjectName
from plait.model.snapshot import Status
from plait.resources.parse import Resource

ISTIO: Final = "networking.istio.io"
SECURITY: Final = "security.istio.io"
TELEMETRY: Final = "telemetry.istio.io"
GATEWAY: Final = "gateway.networking.k8s.io"
DOMAIN: Final = ".svc.cluster.local"
_TEMPLATES: Final = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """A port of a host."""

    number: int
    name: str
    protocol: str
    target: str
    field: Field


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A name that can be called, by the Service or ServiceEntry that declares it."""

    name: str
    owner: "Item"
    ports: tuple[Port, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """Something that runs, or will: the labels that selectors see."""

    namespace: str
    name: str
    labels: Mapping[str, str]
    gateway: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """An object under analysis."""

    resource: Resource

    @property
    def root(self) -> Field:
        """The whole object."""
        return Field(self.resource.document)

    @property
    def spec(self) -> Field:
        """What is below `spec`."""
        return self.root["spec"]

    @property
    def namespace(self) -> str:
        """The object's namespace."""
        return self.resource.namespace

    @property
    def name(self) -> str:
        """The object's name."""
        return self.resource.name

    @property
    def full_name(self) -> str:
        """Namespace and name."""
        return str(self.resource.object_name)

    def find(self, message: Message, place: Field | str, sentence: str, remedy: str) -> Finding:
        """A finding about a field of this object."""
        path = place.path if isinstance(place, Field) else place
        return Finding(message=message, origin=self.resource.origin(path), sentence=sentence, remedy=remedy)


@dataclass(frozen=True, kw_only=True)
class Mesh:
    """A set of objects. `statuses` is what the mesh says of each of them; `now` (seconds) judges certificates."""

    resources: tuple[Resource, ...]
    statuses: Mapping[tuple[str, ObjectName], Status] = field(default_factory=dict[tuple[str, ObjectName], Status])
    root_namespace: str = "istio-system"
    now: float = 0.0
    complete: bool = False
    """Whether it is all of a running mesh, so that what is missing here does not exist."""

    unread: frozenset[tuple[str, str, str]] = frozenset()
    """Kind, namespace and name of objects that are wrong by themselves: they exist, so nobody is blamed for them."""

    @cached_property
    def _by_kind(self) -> Mapping[tuple[str, str], tuple[Item, ...]]:
        found: dict[tuple[str, str], list[Item]] = {}
        for resource in self.resources:
            found.setdefault((resource.kind.group, resource.kind.kind), []).append(Item(resource))
        return {key: tuple(items) for key, items in found.items()}

    def of(self, group: str, *kinds: str) -> tuple[Item, ...]:
        """The objects of some kinds."""
        return tuple(item for kind in kinds for item in self._by_kind.get((group, kind), ()))

    def find(self, group: str, kind: str, namespace: str, name: str) -> Item | None:
        """An object, or None."""
        named = self._names.get((group, kind), {})
        return named.get((namespace, name))

    @cached_property
    def _names(self) -> Mapping[tuple[str, str], Mapping[tuple[str, str], Item]]:
        return {key: {(item.namespace, item.name): item for item in items} for key, items in self._by_kind.items()}

    @cached_property
    def hosts(self) -> Mapping[str, Host]:
        """Every host that is declared; of several declarations the first."""
        found: dict[str, Host] = {}
        for item in self.of("", "Service"):
            name = f"{item.name}.{item.namespace}{DOMAIN}"
            found.setdefault(name, Host(name=name, owner=item, ports=tuple(_ports(item.spec["ports"]))))
        for item in self.of(ISTIO, "ServiceEntry"):
            for name in item.spec["hosts"].texts():
                found.setdefault(name.lower(), Host(name=name, owner=item, ports=tuple(_ports(item.spec["ports"]))))
        return found

    def host(self, spelling: str, namespace: str) -> Host | None:
        """The host that an object in that namespace means by a spelling; a declared wildcard stands for its names."""
        for name in spellings(spelling, namespace):
            if name in self.hosts:
                return self.hosts[name]
        text = spelling.lower()
        return next((host for name, host in self.hosts.items() if "*" in name and covers(name, text)), None)

    def hides(self, spelling: str, namespace: str) -> bool:
        """Whether a Service of that name is there, although it cannot be read."""
        hidden = {f"{name}.{place}{DOMAIN}" for kind, place, name in self.unread if kind == "Service"}
        entries = any(kind == "ServiceEntry" for kind, _, _ in self.unread)
        return entries or not hidden.isdisjoint(spellings(spelling, namespace))

    @cached_property
    def workloads(self) -> tuple[Running, ...]:
        """Everything that runs or is described as to run."""
        return tuple(_workloads(self))

    def selected(self, labels: Mapping[str, str], namespace: str) -> tuple[Running, ...]:
        """The workloads of a namespace (of all of them for an empty one) with these labels."""
        wanted = labels.items()
        return tuple(
            item for item in self.workloads if namespace in ("", item.namespace) and wanted <= item.labels.items()
        )

    @cached_property
    def judges_selection(self) -> bool:
        """Whether enough is known of workloads to say that none is selected."""
        return self.complete or bool(self.workloads)


def spellings(text: str, namespace: str) -> tuple[str, ...]:
    """The full hosts that a spelling may stand for in a namespace."""
    stem = text.rstrip(".").lower().removesuffix(DOMAIN).removesuffix(".svc")
    own = f"{stem}.{namespace}{DOMAIN}"
    return (own, text.lower()) if "." not in stem else (text.rstrip(".").lower(), stem + DOMAIN)


def full_host(text: str, namespace: str) -> str:
    """A host in full, whether it is declared or not: names without a dot are of the namespace."""
    return text.lower() if "." in text or text == "*" else f"{text.lower()}.{namespace}{DOMAIN}"


def covers(pattern: str, host: str) -> bool:
    """Whether a host (or all names of a wildcard) is one of those that a pattern stands for."""
    pattern, host = pattern.lower(), host.lower()
    if pattern in ("*", "", host):
        return True
    return pattern.startswith("*") and host.removeprefix("*").endswith(pattern[1:]) and host != pattern[1:]


def overlap(one: str, other: str) -> bool:
    """Whether two hosts or wildcards have a name in common."""
    return covers(one, other) or covers(other, one)


def _ports(ports: Field) -> Iterator[Port]:
    for item in ports.items():
        target = item["targetPort"].value or item["number"].value or item["port"].value
        yield Port(
            number=item["port"].number or item["number"].number,
            name=item["name"].text,
            protocol=item["appProtocol"].text or item["protocol"].text,
            target=str(target or ""),
            field=item,
        )


def _workloads(mesh: Mesh) -> Iterable[Running]:
    for item in mesh.of(ISTIO, "WorkloadEntry"):
        gateway = item.root.at("metadata", "annotations", "plait.dev/gateway").text
        labels = {**item.resource.labels, **item.spec["labels"].labels}
        yield Running(namespace=item.namespace, name=item.name, labels=labels, gateway=gateway)
    for item in mesh.of(ISTIO, "WorkloadGroup"):
        labels = item.spec.at("metadata", "labels").labels
        yield Running(namespace=item.namespace, name=item.name, labels=labels)
    for item in mesh.of("", "Pod"):
        yield Running(namespace=item.namespace, name=item.name, labels=item.resource.labels)
    for item in mesh.of("apps", *_TEMPLATES):
        labels = item.spec.at("template", "metadata", "labels").labels
        yield Running(namespace=item.namespace, name=item.name, labels=labels)
