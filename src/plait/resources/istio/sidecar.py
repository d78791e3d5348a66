"""networking.istio.io Sidecar: what workloads may reach.

https://istio.io/latest/docs/reference/config/networking/sidecar/
"""

import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from plait.resources.istio.matches import Destination, Names
from plait.resources.istio.selectors import NetworkingSelector
from plait.resources.istio.traffic_policy import ConnectionPoolSettings
from plait.resources.meta import KubernetesObject
from plait.resources.schema import Boolean, Finding, Model, Port, choice, when

CaptureMode = Literal["DEFAULT", "IPTABLES", "NONE"]
TLSVersion = Literal["TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3"]
_HOST = re.compile(r"~?([*.~]|[a-z0-9]([-a-z0-9]*[a-z0-9])?)/(\*|(\*\.)?[-a-zA-Z0-9_]+(\.[-a-zA-Z0-9_]+)*)")


class SidecarPort(Model):
    """A port."""

    number: Port | None = None
    """The port."""
    protocol: str = ""
    """What is spoken."""
    name: str = ""
    """Its name."""
    target_port: Port | None = None
    """Not used."""


class TLSCertificate(Model):
    """Files of a certificate."""

    server_certificate: str = ""
    """File of the certificate."""
    private_key: str = ""
    """File of the key."""
    ca_certificates: str = ""
    """File of the CA certificates."""


class ServerTLSSettings(Model):
    """TLS that is accepted."""

    https_redirect: Boolean = False
    """Whether plain HTTP is redirected."""
    mode: Literal["PASSTHROUGH", "SIMPLE", "MUTUAL", "AUTO_PASSTHROUGH", "ISTIO_MUTUAL", "OPTIONAL_MUTUAL"] = (
        "PASSTHROUGH"
    )
    """Whether TLS ends here, and whether clients prove who they are."""
    server_certificate: str = ""
    """File of the certificate."""
    private_key: str = ""
    """File of the key."""
    ca_certificates: str = ""
    """File of the CA certificates."""
    ca_crl: str = ""
    """File of the revocation list."""
    credential_name: str = ""
    """Secret with certificate and key."""
    credential_names: Annotated[Names, Field(min_length=1, max_length=2)] | None = None
    """Secrets with certificates and keys."""
    ca_cert_credential_name: str = ""
    """Secret or ConfigMap with CA certificates."""
    tls_certificates: Annotated[tuple[TLSCertificate, ...], Field(min_length=1, max_length=2)] | None = None
    """Files of certificates."""
    subject_alt_names: Names = ()
    """Names that clients must prove one of."""
    verify_certificate_spki: Names = ()
    """Fingerprints of keys of clients."""
    verify_certificate_hash: Names = ()
    """Fingerprints of certificates of clients."""
    min_protocol_version: TLSVersion = "TLS_AUTO"
    """Oldest version."""
    max_protocol_version: TLSVersion = "TLS_AUTO"
    """Newest version."""
    cipher_suites: Names = ()
    """Cipher suites."""
    insecure_skip_verify: Boolean | None = None
    """Whether certificates of clients are not checked."""

    def broken(self) -> Iterator[Finding]:
        """The certificate is given in one way."""
        yield from choice(
            ("tlsCertificates", self.tls_certificates is not None),
            ("credentialNames", self.credential_names is not None),
            ("credentialName", bool(self.credential_name)),
        )


class IstioIngressListener(Model):
    """A port that the sidecar accepts calls on."""

    port: SidecarPort
    """The port."""
    bind: str = ""
    """Address that it listens on."""
    capture_mode: CaptureMode = "DEFAULT"
    """How calls get there."""
    default_endpoint: str = ""
    """Where the app listens."""
    tls: ServerTLSSettings | None = None
    """TLS that is accepted."""
    connection_pool: ConnectionPoolSettings | None = None
    """Limits of connections."""


class IstioEgressListener(Model):
    """What the workload may reach."""

    port: SidecarPort | None = None
    """Only on this port; on all if left out."""
    bind: str = ""
    """Address that it listens on."""
    capture_mode: CaptureMode = "DEFAULT"
    """How calls get there."""
    hosts: Annotated[Names, Field(min_length=1)]
    """Services, as NAMESPACE/HOST; `*` any, `.` the own namespace, `~` none."""

    def broken(self) -> Iterator[Finding]:
        """Hosts have a namespace and a name."""
        for index, host in enumerate(self.hosts):
            problem = f'Invalid value: "{host}": host must be of form namespace/dnsName'
            yield from when(not _HOST.fullmatch(host), problem, "hosts", index)


class OutboundTrafficPolicy(Model):
    """What happens with calls to hosts that the mesh does not know."""

    mode: Literal["REGISTRY_ONLY", "ALLOW_ANY"] = "REGISTRY_ONLY"
    """Refuse them or pass them."""
    egress_proxy: Destination | None = None
    """Who gets them."""


class SidecarSpec(Model):
    """Specification of a Sidecar."""

    workload_selector: NetworkingSelector | None = None
    """Workloads it is for; all of the namespace if left out."""
    ingress: tuple[IstioIngressListener, ...] = ()
    """Ports that the sidecar accepts calls on."""
    egress: tuple[IstioEgressListener, ...] = ()
    """What the workload may reach."""
    inbound_connection_pool: ConnectionPoolSettings | None = None
    """Limits of connections to the app."""
    outbound_traffic_policy: OutboundTrafficPolicy | None = None
    """What happens with calls to unknown hosts."""


class Sidecar(KubernetesObject):
    """What workloads may reach, and how they are reached."""

    spec: SidecarSpec = SidecarSpec()
    """Specification."""
