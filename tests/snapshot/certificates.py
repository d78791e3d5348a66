"""Self-signed certificates for listeners, made once a run."""

import base64
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from plait.resources.parse import Resource
from tests.snapshot.resources_builders import resource


@cache
def pair(host: str) -> tuple[bytes, bytes]:
    """A certificate and its key, PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    start = datetime(2026, 1, 1, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=3650))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM), private


def tls_secret(name: str, *, chain: bytes = b"", key: bytes = b"", kind: str = "kubernetes.io/tls") -> Resource:
    """A Secret of type kubernetes.io/tls, a matching pair unless parts are given."""
    own = pair(name)
    data = {"tls.crt": chain or own[0], "tls.key": key or own[1]}
    return resource("v1", "Secret", name, type=kind, data={k: base64.b64encode(v).decode() for k, v in data.items()})
