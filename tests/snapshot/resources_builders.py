"""Resources as users write them, in few words: names are `reviews` or `shop/reviews`, defaults fit together.

Every builder goes through the real parser, so a test can only build what a user could apply.
"""

from typing import Any

from plait.model.ids import ObjectName
from plait.model.snapshot import Condition, Snapshot
from plait.resources.parse import Resource, parse
from plait.snapshot.build import Builder

GATEWAY_API = "gateway.networking.k8s.io/v1"
NETWORKING = "networking.istio.io/v1"
SECURITY = "security.istio.io/v1"
Document = dict[str, Any]


def name_of(text: str) -> ObjectName:
    """`reviews` is default/reviews."""
    namespace, _, last = text.rpartition("/")
    return ObjectName(namespace=namespace or "default", name=last)


def resource(api_version: str, kind: str, name: str, **fields: Any) -> Resource:
    """A parsed resource; `labels`, `annotations`, `created` (seconds) and `generation` go into the metadata."""
    who = name_of(name)
    metadata: Document = {"name": who.name, "namespace": who.namespace, "generation": fields.pop("generation", 1)}
    metadata |= {key: fields.pop(key) for key in ("labels", "annotations") if key in fields}
    if "created" in fields:
        metadata["creationTimestamp"] = f"2026-01-01T00:00:{fields.pop('created'):02}Z"
    parsed = parse({"apiVersion": api_version, "kind": kind, "metadata": metadata, **fields})
    assert isinstance(parsed, Resource), parsed
    return parsed


def key_of(item: Resource) -> tuple[str, str, str, str]:
    """The key by which a resource is deleted."""
    return item.kind.group, item.kind.kind, item.namespace, item.name


def service(name: str, *ports: Document | int, address: str = "240.240.0.1", **spec: Any) -> Resource:
    """A Service that selects `app: NAME`; ports are 80 to 8080 unless given as numbers or documents."""
    listed: list[Document] = [
        {"port": port, "targetPort": 8080} if isinstance(port, int) else port for port in ports or (80,)
    ]
    for index, port in enumerate(listed):
        port.setdefault("name", f"p{index}")
    meta = {key: spec.pop(key) for key in ("labels", "annotations", "created") if key in spec}
    selector = {"app": name_of(name).name}
    return resource(
        "v1", "Service", name, spec={"selector": selector, "ports": listed, "clusterIP": address, **spec}, **meta
    )


def workload(
    name: str,
    address: str = "10.0.0.1",
    *,
    app: str = "",
    account: str = "",
    ports: dict[str, int] | None = None,
    labels: dict[str, str] | None = None,
    **notes: Any,
) -> Resource:
    """A running workload of this machine with label `app`; notes are its `plait.dev/` annotations."""
    annotations = {
        "plait.dev/node": "here",
        **{f"plait.dev/{key.replace('_', '-')}": value for key, value in notes.items()},
    }
    spec: Document = {"address": address, "ports": ports or {"http": 8080}}
    if account:
        spec["serviceAccount"] = account
    own = {"app": app or name_of(name).name, **(labels or {})}
    return resource(NETWORKING, "WorkloadEntry", name, labels=own, annotations=annotations, spec=spec)


def outsider(name: str, address: str, *, app: str) -> Resource:
    """A WorkloadEntry that a user wrote for something outside the mesh."""
    return resource(NETWORKING, "WorkloadEntry", name, labels={"app": app}, spec={"address": address})


def to_service(name: str, **fields: Any) -> Document:
    """A parentRef to a Service, in the route's namespace unless it names one."""
    namespace, _, last = name.rpartition("/")
    return {"group": "", "kind": "Service", "name": last, **({"namespace": namespace} if namespace else {}), **fields}


def to_gateway(name: str, **fields: Any) -> Document:
    """A parentRef to a Gateway."""
    namespace, _, last = name.rpartition("/")
    return {"name": last, **({"namespace": namespace} if namespace else {}), **fields}


def backend(name: str, weight: int | None = None, *, port: int = 80, **fields: Any) -> Document:
    """A backendRef."""
    namespace, _, last = name.rpartition("/")
    found: Document = {"name": last, "port": port, **fields}
    if namespace:
        found["namespace"] = namespace
    return found if weight is None else {**found, "weight": weight}


def path(value: str, kind: str = "PathPrefix", **fields: Any) -> Document:
    """A match of the path, and whatever else."""
    return {"path": {"type": kind, "value": value}, **fields}


def headers(**values: str) -> list[Document]:
    """Header conditions."""
    return [{"name": name, "value": value} for name, value in values.items()]


def rule(*backends: Document, matches: list[Document] | None = None, **fields: Any) -> Document:
    """A rule of a route."""
    found: Document = {"backendRefs": list(backends), **fields} if backends else dict(fields)
    return {**found, "matches": matches} if matches is not None else found


def http_route(
    name: str, parents: list[Document], *rules: Document, hostnames: list[str] | None = None, **meta: Any
) -> Resource:
    """An HTTPRoute."""
    spec: Document = {"parentRefs": parents, "rules": list(rules)}
    if hostnames is not None:
        spec["hostnames"] = hostnames
    return resource(GATEWAY_API, "HTTPRoute", name, spec=spec, **meta)


def grpc_route(
    name: str, parents: list[Document], *rules: Document, hostnames: list[str] | None = None, **meta: Any
) -> Resource:
    """A GRPCRoute."""
    spec: Document = {"parentRefs": parents, "rules": list(rules)}
    if hostnames is not None:
        spec["hostnames"] = hostnames
    return resource(GATEWAY_API, "GRPCRoute", name, spec=spec, **meta)


def method(service: str = "", name: str = "", kind: str = "Exact", **fields: Any) -> Document:
    """A match of a gRPC method, and whatever else."""
    given = {key: value for key, value in (("service", service), ("method", name)) if value}
    return {"method": {"type": kind, **given}, **fields}


def tcp_route(name: str, parents: list[Document], *backends: Document, **meta: Any) -> Resource:
    """A TCPRoute."""
    spec: Document = {"parentRefs": parents, "rules": [{"backendRefs": list(backends)}]}
    return resource(GATEWAY_API, "TCPRoute", name, spec=spec, **meta)


def tls_route(name: str, parents: list[Document], hostnames: list[str], *backends: Document, **meta: Any) -> Resource:
    """A TLSRoute."""
    spec: Document = {"parentRefs": parents, "hostnames": hostnames, "rules": [{"backendRefs": list(backends)}]}
    return resource(GATEWAY_API, "TLSRoute", name, spec=spec, **meta)


def listener(name: str = "http", port: int = 80, protocol: str = "HTTP", **fields: Any) -> Document:
    """A listener of a Gateway."""
    return {"name": name, "port": port, "protocol": protocol, **fields}


def gateway(name: str, *listeners: Document, class_name: str = "plait", **fields: Any) -> Resource:
    """A Gateway of our class."""
    spec = {"gatewayClassName": class_name, "listeners": list(listeners or (listener(),)), **fields}
    return resource(GATEWAY_API, "Gateway", name, spec=spec)


def gateway_proxy(name: str, *, serves: str, address: str = "10.0.0.99", **notes: Any) -> Resource:
    """The proxy that `plait gateway` started."""
    return workload(name, address, kind="gateway", gateway=serves, **notes)


def grant(name: str, *, source: tuple[str, str], target: tuple[str, str]) -> Resource:
    """A ReferenceGrant from (kind, namespace) to (kind, name or empty)."""
    from_ = {"group": "gateway.networking.k8s.io", "kind": source[0], "namespace": source[1]}
    to: Document = {"group": "", "kind": target[0]}
    if target[1]:
        to["name"] = target[1]
    return resource("gateway.networking.k8s.io/v1beta1", "ReferenceGrant", name, spec={"from": [from_], "to": [to]})


def peer_authentication(
    name: str, mode: str = "", *, selector: dict[str, str] | None = None, **fields: Any
) -> Resource:
    """A PeerAuthentication; `ports` maps port numbers to modes."""
    spec: Document = {"mtls": {"mode": mode}} if mode else {}
    if selector:
        spec["selector"] = {"matchLabels": selector}
    ports = fields.pop("ports", None)
    if ports:
        spec["portLevelMtls"] = {str(port): {"mode": port_mode} for port, port_mode in ports.items()}
    return resource(SECURITY, "PeerAuthentication", name, spec=spec, **fields)


def authorization_policy(name: str, *rules: Document, action: str = "ALLOW", **spec: Any) -> Resource:
    """An AuthorizationPolicy."""
    return resource(SECURITY, "AuthorizationPolicy", name, spec={"action": action, "rules": list(rules), **spec})


def sidecar(name: str, *hosts: str, selector: dict[str, str] | None = None, mode: str = "", **fields: Any) -> Resource:
    """A Sidecar with one egress listener for these hosts (or listeners given as `egress`)."""
    meta = {key: fields.pop(key) for key in ("created", "generation") if key in fields}
    spec: Document = {"egress": [{"hosts": list(hosts)}], **fields} if hosts else dict(fields)
    if selector is not None:
        spec["workloadSelector"] = {"labels": selector}
    if mode:
        spec["outboundTrafficPolicy"] = {"mode": mode}
    return resource(NETWORKING, "Sidecar", name, spec=spec, **meta)


def destination_rule(
    name: str, host: str = "", *, subsets: dict[str, dict[str, str]] | None = None, **fields: Any
) -> Resource:
    """A DestinationRule for the host of its name; `subsets` are their labels, `policy` is the trafficPolicy.

    `subset_policies` are those of subsets by name.
    """
    meta = {key: fields.pop(key) for key in ("created", "generation") if key in fields}
    spec: Document = {"host": host or name_of(name).name, **fields}
    if subsets:
        policies = spec.pop("subset_policies", {})
        spec["subsets"] = [
            {"name": key, "labels": labels} | ({"trafficPolicy": policies[key]} if key in policies else {})
            for key, labels in subsets.items()
        ]
    if "policy" in spec:
        spec["trafficPolicy"] = spec.pop("policy")
    if "selector" in spec:
        spec["workloadSelector"] = {"matchLabels": spec.pop("selector")}
    return resource(NETWORKING, "DestinationRule", name, spec=spec, **meta)


def service_entry(name: str, *hosts: str, ports: list[Document] | None = None, **fields: Any) -> Resource:
    """A ServiceEntry; `given` are the addresses by host that the mesh allocated."""
    given = fields.pop("given", {})
    meta = {key: fields.pop(key) for key in ("created", "generation") if key in fields}
    spec = {"hosts": list(hosts), "ports": ports or [{"number": 80, "name": "http", "protocol": "HTTP"}], **fields}
    status = {"addresses": [{"host": host, "value": value} for host, value in given.items()]}
    return resource(NETWORKING, "ServiceEntry", name, spec=spec, status=status, **meta)


def endpoint_slice(
    name: str, owner: str, *addresses: str, ports: list[Document] | None = None, **fields: Any
) -> Resource:
    """An EndpointSlice of a Service."""
    endpoints = [{"addresses": [address], **fields} for address in addresses]
    listed = ports or [{"name": "p0", "port": 8080}]
    return resource(
        "discovery.k8s.io/v1",
        "EndpointSlice",
        name,
        labels={"kubernetes.io/service-name": owner},
        addressType="IPv4",
        endpoints=endpoints,
        ports=listed,
    )


def built(*resources: Resource) -> Builder:
    """A builder that took these resources at once."""
    builder = Builder()
    builder.update(resources)
    return builder


def snapshot_of(*resources: Resource) -> Snapshot:
    """The snapshot of these resources."""
    return built(*resources).snapshot


def conditions(found: tuple[Condition, ...]) -> dict[str, tuple[str, str]]:
    """Conditions as {type: (status, reason)}."""
    return {condition.type: (condition.status, condition.reason) for condition in found}
