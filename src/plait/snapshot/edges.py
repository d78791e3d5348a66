"""Istio's Gateway objects to declared ones: one server a port and host, told apart as Envoy must tell them apart."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from plait.model.gateways import ClientAddresses, ClientCertificates, TlsTerms
from plait.model.ids import ObjectName, Origin
from plait.model.services import Labels, Protocol
from plait.resources.istio.gateway import GatewaySpec, Server, ServerTLSSettings
from plait.resources.parse import Resource
from plait.snapshot.client_addresses import read_client_addresses
from plait.snapshot.conditions import Problem
from plait.snapshot.workloads import labels_of

_HTTP: Final = ("HTTP", "HTTP2", "GRPC", "GRPC-WEB", "HTTPS")
_DIRECT: Final = ClientAddresses()
_USUAL: Final = TlsTerms()
_PASSED: Final = ("PASSTHROUGH", "AUTO_PASSTHROUGH")
_CLIENTS: Final = {
    "MUTUAL": ClientCertificates.REQUIRED,
    "OPTIONAL_MUTUAL": ClientCertificates.OPTIONAL,
    "ISTIO_MUTUAL": ClientCertificates.REQUIRED,
}
_VERSIONS: Final = {"TLSV1_0": 0, "TLSV1_1": 1, "TLSV1_2": 2, "TLSV1_3": 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredServer:
    """A server of a Gateway; of each host the namespace whose VirtualServices it is for (`*` any).

    `secrets` are those with the certificate, `authority` the one that clients are checked against.
    """

    port: int
    protocol: Protocol
    hosts: tuple[tuple[str, str], ...]
    tls: bool
    terms: TlsTerms = _USUAL
    secrets: tuple[str, ...] = ()
    authority: str = ""
    redirects: bool = False
    origin: Origin

    @property
    def passes(self) -> bool:
        """Whether TLS is passed on."""
        return self.protocol is Protocol.TLS and not self.tls


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredEdge:
    """A Gateway of Istio; an empty selector selects every gateway."""

    name: ObjectName
    generation: int
    created: float
    selector: Labels
    servers: tuple[DeclaredServer, ...]
    clients: ClientAddresses = _DIRECT
    dropped: tuple[Problem, ...] = ()

    @property
    def secrets(self) -> frozenset[str]:
        """The names of all Secrets that it names."""
        return frozenset(name for server in self.servers for name in (*server.secrets, server.authority) if name)


def declare_edge(resource: Resource, spec: GatewaySpec) -> DeclaredEdge:
    """The Gateway as declared; servers that cannot be done are left out."""
    problems: list[Problem] = []
    servers: list[DeclaredServer] = []
    for index, server in enumerate(spec.servers):
        found = [
            Problem(reason="UnsupportedValue", message=f"servers[{index}].{text}") for text in _unsupported(server)
        ]
        problems.extend(found)
        if not found:
            servers.append(_server(server, resource.origin(f"spec.servers[{index}]")))
    clients, wrong = read_client_addresses(resource.annotations)
    problems.extend(wrong)
    return DeclaredEdge(
        name=resource.object_name,
        generation=resource.generation,
        created=resource.created,
        selector=labels_of(spec.selector),
        servers=tuple(servers),
        clients=clients,
        dropped=tuple(problems),
    )


def _unsupported(server: Server) -> Iterator[str]:
    tls = server.tls
    if tls is None:
        return
    files = (tls.server_certificate, tls.private_key, tls.ca_certificates, tls.ca_crl, *tls.tls_certificates)
    if any(files):
        yield "tls names files, which are not read; put them into a Secret and name it in credentialName"
    if tls.mode == "AUTO_PASSTHROUGH":
        yield "tls.mode AUTO_PASSTHROUGH is for meshes of several networks, which Plait has not; use PASSTHROUGH"


def _server(server: Server, origin: Origin) -> DeclaredServer:
    protocol, tls = server.port.protocol.upper(), server.tls or ServerTLSSettings()
    secure = server.tls is not None and protocol not in ("HTTP", "HTTP2", "GRPC", "GRPC-WEB")
    ends = secure and tls.mode not in _PASSED
    spoken = Protocol.TCP
    if protocol in _HTTP and (ends or protocol != "HTTPS"):
        spoken = Protocol.HTTP
    elif secure:
        spoken = Protocol.TLS
    named = tls.credential_names or ((tls.credential_name,) if tls.credential_name else ())
    return DeclaredServer(
        port=server.port.number,
        protocol=spoken,
        hosts=tuple(_host(host, origin.namespace) for host in server.hosts),
        tls=ends,
        terms=_terms(tls) if ends else _USUAL,
        secrets=named if ends else (),
        authority=_authority(tls, named) if ends else "",
        redirects=tls.https_redirect,
        origin=origin,
    )


def _host(written: str, namespace: str) -> tuple[str, str]:
    """The namespace whose VirtualServices may use the host (`*` any), and the host, empty for every one."""
    where, slash, host = written.rpartition("/")
    where = (namespace if where == "." else where) if slash else "*"
    return where or "*", "" if host == "*" else host.lower()


def _authority(tls: ServerTLSSettings, named: tuple[str, ...]) -> str:
    if tls.mode not in ("MUTUAL", "OPTIONAL_MUTUAL"):
        return ""
    return tls.ca_cert_credential_name or next(iter(named), "")


def _terms(tls: ServerTLSSettings) -> TlsTerms:
    return TlsTerms(
        oldest=_VERSIONS.get(tls.min_protocol_version, 2),
        newest=_VERSIONS.get(tls.max_protocol_version, 3),
        ciphers=tls.cipher_suites,
        clients=_CLIENTS.get(tls.mode, ClientCertificates.UNASKED),
        names=tls.subject_alt_names,
        keys=tls.verify_certificate_spki,
        hashes=tls.verify_certificate_hash,
        mesh=tls.mode == "ISTIO_MUTUAL",
    )
