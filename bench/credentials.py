"""Certificates of the peers: an authority of their own, P-256 as Plait's, names in every form that a peer can check.

Envoy checks the SPIFFE id (a URI among the alternative names). nginx and HAProxy 2.6 cannot: they check a called
server by its DNS name and see of a caller the subject, so each leaf carries its name in all three forms.
"""

import datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DOMAIN: Final = "cluster.local"
LIFE: Final = datetime.timedelta(days=1)


def identity(account: str) -> str:
    """The SPIFFE id of an account."""
    return f"spiffe://{DOMAIN}/ns/default/sa/{account}"


def short_name(account: str) -> str:
    """The DNS name and common name of an account."""
    return f"{account}.default"


class Authority:
    """A root that signs leaves for one day."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _subject("bench")
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        self._root = _builder(self._name, self._name, self._key.public_key())
        self._root = self._root.add_extension(constraints, critical=True)
        self._certificate = self._root.sign(self._key, hashes.SHA256())

    def files(self, account: str) -> dict[str, bytes]:
        """New credentials of an account by name of file; `both.pem` is chain and key in one, as HAProxy wants it."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = short_name(account)
        names = x509.SubjectAlternativeName([x509.DNSName(name), x509.UniformResourceIdentifier(identity(account))])
        leaf = _builder(_subject(name), self._name, key.public_key()).add_extension(names, critical=False)
        chain = _pem(leaf.sign(self._key, hashes.SHA256()))
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return {"chain.pem": chain, "key.pem": secret, "both.pem": chain + secret, "roots.pem": _pem(self._certificate)}


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + LIFE)
    )
