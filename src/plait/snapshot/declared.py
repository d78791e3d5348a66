"""What users declared, one frozen value an object, before anything is linked to anything else.

Translating an object needs only the object, so it happens once per change and its result is compared with the former
one: a write that changes no meaning (a status, a moved line) ends there. Linking (`services`, `endpoints`, `routes`,
`gateways`, `policies`) reads these values through indexes.
"""

from dataclasses import dataclass, field

from plait.model.gateways import ClientAddresses, Credential, TlsCertificate
from plait.model.ids import ObjectName, Origin
from plait.model.protection import DEFAULT, Protection
from plait.model.security import AuthorizationPolicy
from plait.model.services import Endpoint, Labels, Protocol, Resolution, Workload
from plait.model.snapshot import PeerAuthentication
from plait.snapshot.conditions import Problem

Reference = tuple[str, str, ObjectName]
"""Group, kind and name of an object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredPort:
    """A port of a service; `protocol` is None where nothing declares it, `tcp` False for UDP and SCTP."""

    number: int
    name: str = ""
    target: int | str = 0
    protocol: Protocol | None = None
    tcp: bool = True

    @property
    def takes_requests(self) -> bool:
        """Whether HTTP routes can act here."""
        return self.tcp and (self.protocol is None or self.protocol.is_http)


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedEndpoint:
    """An endpoint that a ServiceEntry lists; `ports` are by the name of the service's port.

    `only` are the numbers of the service's ports that it is for, empty for all.
    """

    address: str
    ports: tuple[tuple[str, int], ...] = ()
    identity: str = ""
    locality: str = ""
    weight: int = 1
    labels: Labels = ()
    only: tuple[int, ...] = ()

    def serves(self, port: DeclaredPort) -> bool:
        """Whether it is behind a port of the service."""
        return not self.only or port.number in self.only


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredService:
    """A Service, or one host of a ServiceEntry or VirtualService (`name.name` is then a host, unlike a Service's)."""

    name: ObjectName
    host: str
    address: str
    ranges: tuple[str, ...] = ()
    """More addresses that lead to it, as CIDR."""
    ports: tuple[DeclaredPort, ...]
    selector: Labels = ()
    headless: bool = False
    external: bool = False
    resolution: Resolution = Resolution.MESH
    unready: bool = False
    """Whether endpoints count before they are ready (`publishNotReadyAddresses`)."""
    alias: bool = False
    """Whether it is of type ExternalName, which routes can neither attach to nor send to."""
    fixed: tuple[FixedEndpoint, ...] = ()
    tells_caller: bool = False
    """Whether its apps want the caller's identity in a header."""
    protection: Protection = DEFAULT
    exported_to: tuple[str, ...] = ()
    """The namespaces that see it, empty for all."""
    proves: tuple[str, ...] = ()
    """The names (`subjectAltNames`) of which each server must prove one, if they are listed."""
    created: float = 0.0
    generation: int = 0
    warned: bool = field(default=False, compare=False)
    """Whether its stored status says that something of it is not done."""
    origin: Origin

    @property
    def is_entry(self) -> bool:
        """Whether it is a host of a ServiceEntry, or of a VirtualService only, and no Service."""
        return self.origin.kind != "Service"

    @property
    def is_virtual(self) -> bool:
        """Whether only VirtualServices have its host: it has no endpoints, and nothing can be sent to it."""
        return self.origin.kind == "VirtualService"

    def port(self, number: int) -> DeclaredPort | None:
        """The TCP port of that number; without one, a port of another transport."""
        found = [port for port in self.ports if port.number == number]
        return next((port for port in found if port.tcp), found[0] if found else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredEntry:
    """A ServiceEntry: its hosts as services, and what is wrong with it."""

    name: ObjectName
    generation: int
    services: tuple[DeclaredService, ...]
    dropped: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredWorkload:
    """A workload; `endpoints` keeps what was made of it, by port and whether callers bring mutual TLS."""

    workload: Workload
    endpoints: dict[tuple[int, bool], Endpoint] = field(
        default_factory=dict[tuple[int, bool], Endpoint], compare=False, repr=False
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceEndpoint:
    """One endpoint of an EndpointSlice."""

    address: str
    ready: bool
    node: str = ""
    zone: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredSlice:
    """An EndpointSlice; `ports` are (name of the service's port, number)."""

    name: ObjectName
    service: ObjectName
    ports: tuple[tuple[str, int], ...]
    endpoints: tuple[SliceEndpoint, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRequirement:
    """One condition of a label selector."""

    key: str
    operator: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredListener:
    """A listener of a Gateway; `namespaces` is All, Same or Selector, `kinds` are those it lists, if any."""

    name: str
    port: int
    protocol: str
    hostname: str = ""
    passthrough: bool = False
    has_tls: bool = False
    certificates: tuple[Reference, ...] = ()
    namespaces: str = "Same"
    selector: tuple[LabelRequirement, ...] | None = None
    kinds: tuple[tuple[str, str], ...] = ()
    clients: ClientAddresses = field(default=ClientAddresses())
    origin: Origin

    @property
    def terminates(self) -> bool:
        """Whether TLS ends here, which takes a certificate."""
        return self.protocol == "HTTPS" or (self.protocol == "TLS" and self.has_tls and not self.passthrough)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredValidation:
    """Whose certificates clients must show; `insecure` lets in those without a valid one too."""

    authorities: tuple[Reference, ...]
    insecure: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredGateway:
    """A Gateway; `wanted` are the (type, value) of the addresses it asks for.

    `validation` is what HTTPS listeners ask of clients, but for ports in `port_validations`; `client_certificate` what
    the Gateway shows to backends.
    """

    name: ObjectName
    generation: int
    gateway_class: str
    listeners: tuple[DeclaredListener, ...]
    wanted: tuple[tuple[str, str], ...] = ()
    unsupported: tuple[Problem, ...] = ()
    validation: DeclaredValidation | None = None
    port_validations: tuple[tuple[int, DeclaredValidation | None], ...] = ()
    client_certificate: Reference | None = None
    origin: Origin

    @property
    def validations(self) -> tuple[tuple[str, DeclaredValidation | None], ...]:
        """What is asked of clients, each with where it holds."""
        of_ports = ((f"port {port}", validation) for port, validation in self.port_validations)
        return ("by default", self.validation), *of_ports

    def validation_at(self, listener: DeclaredListener) -> DeclaredValidation | None:
        """What a listener asks of its clients; None for those that do not end TLS for HTTP."""
        if listener.protocol != "HTTPS":
            return None
        return dict(self.port_validations).get(listener.port, self.validation)

    @property
    def references(self) -> frozenset[Reference]:
        """The objects with certificates or authorities that it names."""
        found = {reference for listener in self.listeners for reference in listener.certificates}
        for _, validation in self.validations:
            found.update(validation.authorities if validation else ())
        return frozenset(found | ({self.client_certificate} if self.client_certificate else set()))


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredClass:
    """A GatewayClass."""

    name: str
    generation: int
    controller: str
    has_parameters: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredGrant:
    """A ReferenceGrant: (group, kind, namespace) that may refer to (group, kind, name or empty) of its namespace."""

    name: ObjectName
    sources: tuple[tuple[str, str, str], ...]
    targets: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredSecret:
    """A Secret that may hold a certificate; `problem` says why it does not."""

    name: ObjectName
    certificate: TlsCertificate | None
    problem: str = ""
    credential: Credential | None = None
    """What it holds for calls by TLS, of whatever type it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredPeerAuthentication:
    """A PeerAuthentication with what orders it among others."""

    policy: PeerAuthentication
    generation: int
    created: float
    dropped: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredAuthorization:
    """An AuthorizationPolicy; `policy` is None where none of it can be done."""

    name: ObjectName
    generation: int
    policy: AuthorizationPolicy | None
    selector: Labels = ()
    gateways: tuple[str, ...] = ()
    refused: tuple[Problem, ...] = ()
    dropped: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredNode:
    """A machine: its labels' locality, and the ranges its workloads get addresses from."""

    name: str
    locality: str
    ranges: tuple[str, ...]
