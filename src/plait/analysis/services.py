"""Services and ServiceEntries: names and protocols of ports, hosts declared twice, services without workloads."""

from collections.abc import Iterator
from typing import Final

from plait.analysis import messages
from plait.analysis.fields import Field
from plait.analysis.findings import Finding
from plait.analysis.mesh import DOMAIN, ISTIO, Item, Mesh

_PREFIXES: Final = {
    **dict.fromkeys(("http", "http2", "h2c", "grpc", "grpc-web", "ws"), "HTTP"),
    **dict.fromkeys(("https", "tls", "wss"), "TLS"),
    **dict.fromkeys(("tcp", "mongo", "mysql", "postgres", "postgresql", "redis", "kafka", "amqp", "udp"), "TCP"),
}
_KNOWN: Final = {
    22: "SSH",
    25: "SMTP",
    3306: "MySQL",
    5432: "PostgreSQL",
    6379: "Redis",
    9092: "Kafka",
    27017: "MongoDB",
}
_OF_BOTH: Final = ("location", "resolution", "workloadSelector", "exportTo")
"""What ServiceEntries of a namespace must agree on to be one service."""
_TCP: Final = ("TCP", "MONGO", "MYSQL", "REDIS", "")


def spoken(text: str) -> str:
    """HTTP, TLS or TCP, as an appProtocol or a port's name says it; empty where it says nothing."""
    word = text.lower().rpartition("/")[2]
    return _PREFIXES.get(word) or _PREFIXES.get(word.partition("-")[0], "")


def port_names(mesh: Mesh) -> Iterator[Finding]:
    """Ports that do not say what they speak, or say two things."""
    for item in mesh.of("", "Service"):
        external = item.spec["type"].text == "ExternalName"
        for port in item.spec["ports"].items():
            name, declared = port["name"], port["appProtocol"]
            by_name, by_field = spoken(name.text), spoken(declared.text)
            if external and by_name == "TCP":
                sentence = f"{name.text} is named for TCP"
                yield item.find(messages.EXTERNAL_NAME_PORT, name, sentence, "name it http, https or tls")
            elif not by_name and not by_field and port["protocol"].text in ("", "TCP"):
                sentence = f"port {port['port'].number} ({name.text or 'without a name'}) does not say what it speaks"
                remedy = "add appProtocol, or a name such as http, grpc-api or tcp-db"
                yield item.find(messages.PORT_NAME, name if name else port, sentence, remedy)
            yield from _contradiction(item, port, by_name, by_field)


def _contradiction(item: Item, port: Field, by_name: str, by_field: str) -> Iterator[Finding]:
    numbers = (port["port"].number, port["targetPort"].number)
    known = next((_KNOWN[number] for number in numbers if number in _KNOWN), "")
    if by_name and by_field and by_name != by_field:
        sentence = f"name {port['name'].text} says {by_name}, appProtocol {port['appProtocol'].text} says {by_field}"
        yield item.find(messages.PORT_PROTOCOL, port["name"], sentence, "correct one of them; appProtocol counts")
    elif known and (by_field or by_name) == "HTTP":
        sentence = f"it is declared HTTP, and its number is that of {known}"
        yield item.find(messages.PORT_PROTOCOL, port, sentence, "name it tcp, or correct the number")


def shared_ports(mesh: Mesh) -> Iterator[Finding]:
    """Services over the same workloads that disagree on a workload's port."""
    listed = [item for item in mesh.of("", "Service") if item.spec["selector"]]
    for workload in mesh.workloads:
        first: dict[str, tuple[Item, Field]] = {}
        for item in listed:
            if (
                item.namespace != workload.namespace
                or not item.spec["selector"].labels.items() <= workload.labels.items()
            ):
                continue
            for port in item.spec["ports"].items():
                target = str(port["targetPort"].value or port["port"].number)
                earlier = first.setdefault(target, (item, port))
                if earlier[0] is not item:
                    yield from _disagreement(earlier, (item, port), workload.name, target)


def _disagreement(one: tuple[Item, Field], other: tuple[Item, Field], workload: str, target: str) -> Iterator[Finding]:
    said = [spoken(port["appProtocol"].text) or spoken(port["name"].text) for _, port in (one, other)]
    numbers = [port["port"].number for _, port in (one, other)]
    item, port = other
    if all(said) and said[0] != said[1]:
        sentence = f"port {target} of {workload} is {said[1]} here and {said[0]} in Service {one[0].full_name}"
        yield item.find(messages.SHARED_PORT_PROTOCOLS, port, sentence, "make both say the same")
    if numbers[0] != numbers[1]:
        sentence = f"port {target} of {workload} is {numbers[1]} here and {numbers[0]} in Service {one[0].full_name}"
        yield item.find(messages.SHARED_TARGET, port, sentence, "use one number in both")


def without_workloads(mesh: Mesh) -> Iterator[Finding]:
    """Services whose selector finds no workload."""
    for item in mesh.of("", "Service") if mesh.judges_selection else ():
        labels = item.spec["selector"].labels
        if labels and not mesh.selected(labels, item.namespace) and not _slices(mesh, item):
            wanted = ", ".join(f"{name}={value}" for name, value in sorted(labels.items()))
            sentence = f"no workload of namespace {item.namespace} has {wanted}"
            remedy = "start one with these labels, or correct the selector"
            yield item.find(messages.NO_WORKLOADS, item.spec["selector"], sentence, remedy)


def _slices(mesh: Mesh, item: Item) -> bool:
    return any(
        found.namespace == item.namespace and found.resource.labels.get("kubernetes.io/service-name") == item.name
        for found in mesh.of("discovery.k8s.io", "EndpointSlice")
    )


def collisions(mesh: Mesh) -> Iterator[Finding]:
    """Hosts that several ServiceEntries, or a ServiceEntry and a Service, declare."""
    first = {f"{item.name}.{item.namespace}{DOMAIN}": item for item in mesh.of("", "Service")}
    for item in mesh.of(ISTIO, "ServiceEntry"):
        for host in item.spec["hosts"].items():
            earlier = first.setdefault(host.text.lower(), item)
            if earlier is not item:
                yield from _collision(item, earlier, host)


def _collision(item: Item, earlier: Item, host: Field) -> Iterator[Finding]:
    """What a later one cannot say of a host, as `snapshot.entry_merging` joins them."""
    kind = earlier.resource.kind.kind
    if kind == "Service" or not _joined(item, earlier):
        sentence = f"{kind} {earlier.full_name} declares {host.text} too"
        yield item.find(messages.ENTRY_COLLISION, host, sentence, "join the two, or let both say the same")
        return
    known = {port["number"].number: port["protocol"].text.upper() for port in earlier.spec["ports"].items()}
    for port in item.spec["ports"].items():
        spoken, other = port["protocol"].text.upper(), known.get(port["number"].number, "")
        if spoken and other and spoken != other:
            where = f"port {port['number'].number} of {host.text}"
            sentence = f"{where} is {spoken} here, but {other} in {kind} {earlier.full_name}"
            yield item.find(messages.ENTRY_COLLISION, port, sentence, "give both the same protocol")


def _joined(one: Item, other: Item) -> bool:
    """Whether two ServiceEntries for a host are one service: of one namespace and kind, or the same in two."""
    left, right = (dict(item.resource.document.get("spec", {})) for item in (one, other))
    if one.namespace != other.namespace:
        return all(left.get(field) == right.get(field) for field in {*left, *right} - {"exportTo", "hosts"})
    return all(left.get(field) == right.get(field) for field in _OF_BOTH)


def entry_addresses(mesh: Mesh) -> Iterator[Finding]:
    """TCP ports of ServiceEntries that have no address to be told apart by."""
    for item in mesh.of(ISTIO, "ServiceEntry"):
        if item.spec["addresses"]:
            continue
        for port in item.spec["ports"].items():
            if port["protocol"].text.upper() in _TCP:
                sentence = f"port {port['number'].number} is TCP, and the ServiceEntry has no addresses"
                yield item.find(messages.ENTRY_ADDRESSES, port, sentence, "add spec.addresses if apps dial addresses")
