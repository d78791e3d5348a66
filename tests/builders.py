"""Short ways to write the mesh's values in tests: namespace `default`, service accounts as the service."""

from dataclasses import replace

from plait.model.ids import Identity, ObjectName, Origin
from plait.model.security import (
    Action,
    AuthorizationPolicy,
    AuthorizationRule,
    MutualTlsMode,
    OperationMatch,
    SourceMatch,
)
from plait.model.services import Capture, Endpoint, Protocol, Resolution, WorkloadKind
from plait.model.traffic import (
    ClusterKey,
    Destination,
    Matching,
    NamedMatch,
    RequestMatch,
    Rule,
    StringMatch,
)
from plait.model.view import DirectEndpoint, InboundMode, InboundPort, OutboundCluster, OutboundFrontend, View

TRUST_DOMAIN = "cluster.local"


def name(text: str) -> ObjectName:
    """`reviews` or `shop/reviews`."""
    namespace, _, last = text.rpartition("/")
    return ObjectName(namespace=namespace or "default", name=last)


def identity(text: str) -> Identity:
    """The identity of a service account written `reviews` or `shop/reviews`."""
    who = name(text)
    return Identity(trust_domain=TRUST_DOMAIN, namespace=who.namespace, service_account=who.name)


def host(text: str) -> str:
    """The full host of a service."""
    who = name(text)
    return f"{who.name}.{who.namespace}.svc.cluster.local"


def origin(text: str, path: str = "spec.rules[0]", *, kind: str = "HTTPRoute") -> Origin:
    """Where something was written."""
    who = name(text)
    return Origin(kind=kind, namespace=who.namespace, name=who.name, path=path)


def key(text: str, port: int = 80, *, subset: str = "") -> ClusterKey:
    """The key of a service port's endpoints."""
    return ClusterKey(service=name(text), port=port, subset=subset)


def cluster(
    text: str,
    port: int = 80,
    *,
    protocol: Protocol = Protocol.HTTP,
    resolution: Resolution = Resolution.MESH,
    secure: bool = True,
) -> OutboundCluster:
    """A cluster whose endpoints run under a service account of the service's name."""
    return OutboundCluster(
        key=key(text, port),
        host=host(text),
        protocol=protocol,
        resolution=resolution,
        identities=(str(identity(text)),) if secure else (),
    )


def aliases(text: str) -> tuple[str, ...]:
    """All spellings of a service's name, as explicit capture knows them."""
    who = name(text)
    short = f"{who.name}.{who.namespace}"
    return (who.name, short, f"{short}.svc", host(text))


def frontend(
    text: str,
    port: int = 80,
    *rules: Rule,
    address: str = "240.240.0.1",
    protocol: Protocol = Protocol.HTTP,
    closed: bool | None = None,
) -> OutboundFrontend:
    """A service port that the workload calls; closed if it has rules."""
    return OutboundFrontend(
        service=name(text),
        host=host(text),
        address=address,
        port=port,
        protocol=protocol,
        rules=rules,
        closed=bool(rules) if closed is None else closed,
        default=key(text, port),
        aliases=aliases(text),
    )


def path(value: str, matching: Matching = Matching.PREFIX) -> RequestMatch:
    """A match of the path alone."""
    return RequestMatch(path=StringMatch(matching=matching, value=value))


def header(header_name: str, value: str, matching: Matching = Matching.EXACT, *, inverted: bool = False) -> NamedMatch:
    """A comparison of one header (or query parameter)."""
    return NamedMatch(name=header_name, match=StringMatch(matching=matching, value=value), inverted=inverted)


def rule(rule_name: str, match: RequestMatch | None = None, /, **split: int) -> Rule:
    """A rule that sends shares to port 80 of services: `rule("r", path("/v2"), reviews=90, ratings=10)`."""
    return Rule(
        name=rule_name,
        match=match or RequestMatch(),
        destinations=tuple(Destination(cluster=key(service), weight=weight) for service, weight in split.items()),
        origin=origin(rule_name),
    )


def endpoint(
    address: str,
    port: int = 8080,
    *,
    service_account: str = "",
    node: str = "",
    machine_address: str = "",
    published: int = 0,
    healthy: bool = True,
) -> Endpoint:
    """An endpoint; one with a service account is in the mesh."""
    return Endpoint(
        address=address,
        port=port,
        workload=service_account and str(name(service_account)),
        identity=service_account and str(identity(service_account)),
        node=node,
        machine_address=machine_address,
        published=published,
        healthy=healthy,
    )


def inbound(
    number: int = 8080,
    *policies: AuthorizationPolicy,
    protocol: Protocol = Protocol.HTTP,
    mode: InboundMode | None = None,
    mutual_tls: MutualTlsMode = MutualTlsMode.STRICT,
    sidecar_port: int = 0,
) -> InboundPort:
    """A port of the workload; HTTP is seen as HTTP unless said otherwise."""
    return InboundPort(
        number=number,
        protocol=protocol,
        mutual_tls=mutual_tls,
        mode=mode or (InboundMode.HTTP if protocol.is_http else InboundMode.BYTES),
        sidecar_port=sidecar_port,
        policies=policies,
    )


def source(*principals: str, **fields: tuple[str, ...]) -> SourceMatch:
    """Callers by principal (`cluster.local/ns/default/sa/x`), or by the fields of SourceMatch."""
    return replace(SourceMatch(principals=principals), **fields)


def operation(**fields: tuple[str, ...] | tuple[int, ...]) -> OperationMatch:
    """What is called, by the fields of OperationMatch."""
    return replace(OperationMatch(), **fields)


def policy(text: str, action: Action, *rules: AuthorizationRule) -> AuthorizationPolicy:
    """An authorization policy."""
    return AuthorizationPolicy(
        name=name(text), action=action, rules=rules, origin=origin(text, "", kind="AuthorizationPolicy")
    )


def authorization_rule(*parts: SourceMatch | OperationMatch) -> AuthorizationRule:
    """A rule of an authorization policy, from its sources and operations."""
    return AuthorizationRule(
        sources=tuple(part for part in parts if isinstance(part, SourceMatch)),
        operations=tuple(part for part in parts if isinstance(part, OperationMatch)),
    )


def direct(address: str, port: int, service_account: str = "") -> DirectEndpoint:
    """A workload called by its own address."""
    who = service_account and str(identity(service_account))
    return DirectEndpoint(address=address, port=port, protocol=Protocol.TCP, identity=who)


Part = OutboundFrontend | OutboundCluster | InboundPort | DirectEndpoint


def view(
    text: str = "client",
    *parts: Part,
    capture: Capture = Capture.TRANSPARENT,
    kind: WorkloadKind = WorkloadKind.SIDECAR,
) -> View:
    """The view of a workload, from its parts in any order; change the rest with `dataclasses.replace`."""
    frontends = tuple(part for part in parts if isinstance(part, OutboundFrontend))
    return View(
        name=name(text),
        identity=identity(text),
        kind=kind,
        capture=capture,
        node="here",
        address="10.1.0.2",
        inbound=tuple(part for part in parts if isinstance(part, InboundPort)),
        frontends=frontends,
        clusters=tuple(part for part in parts if isinstance(part, OutboundCluster)),
        direct=tuple(part for part in parts if isinstance(part, DirectEndpoint)),
        authorizers=any(rule.authorizer is not None for item in frontends for rule in item.rules),
    )
