"""TLS that a listener accepts, as Istio writes it."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from plait.resources.istio.matches import Names
from plait.resources.schema import Boolean, Finding, Model, choice

TLSVersion = Literal["TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3"]


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
