"""Certificates for tests, made in memory without the mesh's own authority (envoy is below identity)."""

import datetime
import ssl
import tempfile
from dataclasses import dataclass
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

_DAY = datetime.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class TestAuthority:
    """A root that signs leaves."""

    __test__ = False

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def bundle(self) -> bytes:
        """The root, PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def leaf(self, uri: str, *dns: str) -> tuple[bytes, bytes]:
        """A certificate for a SPIFFE ID or DNS names, and its key, PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.UniformResourceIdentifier(uri)] if uri else [x509.DNSName(item) for item in dns]
        certificate = (
            _builder("leaf", key)
            .issuer_name(self.certificate.subject)
            .add_extension(x509.SubjectAlternativeName(names), critical=True)
            .sign(self.key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM), pem(key)


def pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A private key, PEM."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _builder(common_name: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + _DAY)
    )


def authority() -> TestAuthority:
    """A new root."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "root")])
    certificate = (
        _builder("root", key)
        .issuer_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return TestAuthority(key, certificate)


@cache
def shared() -> TestAuthority:
    """One root for all tests that need no other."""
    return authority()


def server_context(chain: bytes, key: bytes) -> ssl.SSLContext:
    """TLS of a server with that certificate, whose PEM goes through a file since `ssl` takes nothing else."""
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:
        file.write(chain + key)
        file.flush()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file.name)
    return context
