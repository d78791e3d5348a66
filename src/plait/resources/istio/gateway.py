"""networking.istio.io Gateway: ports that gateways open, and what they take there."""

import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from plait.resources.istio.selectors import LabelValue
from plait.resources.meta import KubernetesObject
from plait.resources.schema import Boolean, Finding, Model, Port, when

_HOST = re.compile(r"^([a-z0-9.*-]+/|)(\*|(\*\.)?[a-zA-Z0-9_]([-a-zA-Z0-9_.]*[a-zA-Z0-9_])?)$")
_PROTOCOLS = ("HTTP", "HTTP2", "GRPC", "GRPC-WEB", "HTTPS", "TLS", "TCP", "MONGO", "MYSQL", "REDIS")
_ENDS_TLS = ("SIMPLE", "MUTUAL", "OPTIONAL_MUTUAL")
Version = Literal["TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3"]
Mode = Literal["PASSTHROUGH", "SIMPLE", "MUTUAL", "AUTO_PASSTHROUGH", "ISTIO_MUTUAL", "OPTIONAL_MUTUAL"]


class ServerPort(Model):
    """The port that a server listens on."""

    number: Port
    """Port that clients dial."""
    protocol: str
    """HTTP, HTTP2, GRPC, HTTPS, TLS, TCP or MONGO (as TCP)."""
    name: Annotated[str, Field(min_length=1, max_length=256)]
    """Name of the port."""
    target_port: Port | None = None
    """Kept; Plait does not read it."""


class ServerTLSSettings(Model):
    """What TLS is at a port."""

    https_redirect: Boolean = False
    """Answer every request with a redirect to https."""
    mode: Mode = "PASSTHROUGH"
    """Whether TLS ends here (SIMPLE), with a client's certificate (MUTUAL), or is passed on (PASSTHROUGH)."""
    server_certificate: str = ""
    """A file; not supported, use `credentialName`."""
    private_key: str = ""
    """A file; not supported, use `credentialName`."""
    ca_certificates: str = ""
    """A file; not supported, use `credentialName`."""
    ca_crl: str = ""
    """A file; not supported."""
    credential_name: str = ""
    """Secret with the certificate, in the namespace of the gateway's proxy; for MUTUAL with `ca.crt` too."""
    credential_names: Annotated[tuple[str, ...], Field(max_length=2)] = ()
    """Up to two of them (RSA and ECDSA)."""
    ca_cert_credential_name: str = ""
    """Secret with the authorities that clients are checked against, if it is another one."""
    tls_certificates: Annotated[tuple[dict[str, str], ...], Field(max_length=2)] = ()
    """Files; not supported, use `credentialNames`."""
    subject_alt_names: tuple[str, ...] = ()
    """Names of which a client's certificate must have one."""
    verify_certificate_spki: tuple[str, ...] = ()
    """Hashes of public keys that clients may have, Base64."""
    verify_certificate_hash: tuple[str, ...] = ()
    """Hashes of certificates that clients may have, hexadecimal."""
    min_protocol_version: Version = "TLS_AUTO"
    """Oldest version of TLS; 1.2 if left out."""
    max_protocol_version: Version = "TLS_AUTO"
    """Newest version of TLS."""
    cipher_suites: tuple[str, ...] = ()
    """Ciphers of TLS 1.2 and older, in OpenSSL's words."""
    insecure_skip_verify: Boolean = False
    """Kept; clients are always checked where `mode` says so."""

    def broken(self) -> Iterator[Finding]:
        """A mode that ends TLS names its certificate."""
        named = bool(self.credential_name or self.credential_names or self.server_certificate or self.tls_certificates)
        needs = self.mode in _ENDS_TLS and not named
        yield from when(needs, f"{self.mode} TLS requires a credentialName", "credentialName")
        both = bool(self.credential_name and self.credential_names)
        yield from when(both, "only one of credentialName and credentialNames can be set", "credentialNames")
        own = self.mode == "ISTIO_MUTUAL" and named
        yield from when(own, "ISTIO_MUTUAL TLS cannot have associated certificates", "credentialName")
        odd = _order(self.min_protocol_version) > (_order(self.max_protocol_version) or 9)
        yield from when(odd, "min version must not be after the max version", "minProtocolVersion")


def _order(version: Version) -> int:
    return ("TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3").index(version)


class Server(Model):
    """A port with the hosts that it takes."""

    port: ServerPort
    """Where it listens."""
    bind: str = ""
    """Kept; a gateway listens on its own address."""
    hosts: Annotated[tuple[str, ...], Field(min_length=1)]
    """Hosts, as `NAMESPACE/HOST` for VirtualServices of that namespace only (`.` the Gateway's, `*` any)."""
    tls: ServerTLSSettings | None = None
    """What TLS is here."""
    default_endpoint: str = ""
    """Kept; Plait does not read it."""
    name: str = ""
    """Name of the server, unique in the Gateway."""

    def broken(self) -> Iterator[Finding]:
        """Protocol, TLS and hosts fit together."""
        protocol, known = self.port.protocol.upper(), self.port.protocol.upper() in _PROTOCOLS
        yield from when(not known, f'Unsupported value: "{self.port.protocol}"', "port", "protocol")
        secure = protocol in ("HTTPS", "TLS")
        yield from when(secure and self.tls is None, "server must have TLS settings for HTTPS/TLS protocols", "tls")
        if self.tls is not None:
            redirect = self.tls.https_redirect and secure
            yield from when(redirect, "https redirect only works with an HTTP port", "tls", "httpsRedirect")
            plain = not secure and protocol.startswith(("HTTP", "GRPC")) and self.tls.given("mode")
            yield from when(plain, "server cannot have TLS settings for plain text HTTP ports", "tls")
        for index, host in enumerate(self.hosts):
            yield from when(not _HOST.fullmatch(host), f'Invalid value: "{host}"', "hosts", index)


class GatewaySpec(Model):
    """Specification of a Gateway."""

    servers: Annotated[tuple[Server, ...], Field(min_length=1)]
    """Ports and hosts."""
    selector: Annotated[dict[str, LabelValue], Field(max_length=256)] = Field(default_factory=dict[str, str])
    """Labels of the gateways that open them, in every namespace; none selects all."""

    def broken(self) -> Iterator[Finding]:
        """Names of ports and servers are unique."""
        ports: dict[str, int] = {}
        names: set[str] = set()
        for index, server in enumerate(self.servers):
            taken = ports.setdefault(server.port.name, server.port.number) != server.port.number
            yield from when(taken, f'Duplicate value: "{server.port.name}"', "servers", index, "port", "name")
            twice = bool(server.name) and server.name in names
            yield from when(twice, f'Duplicate value: "{server.name}"', "servers", index, "name")
            names.add(server.name)


class Gateway(KubernetesObject):
    """Ports at the edge of the mesh; VirtualServices say where requests go."""

    spec: GatewaySpec
    """Specification."""
