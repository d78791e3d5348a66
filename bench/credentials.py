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
    """A root of that name that signs leaves for one day; `pem` is its certificate."""

    def __init__(self, name: str = "bench") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _subject(name)
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        built = _builder(self._name, self._name, self._key.public_key()).add_extension(constraints, critical=True)
        self.pem = _pem(built.sign(self._key, hashes.SHA256()))

    def leaf(self, *names: str) -> tuple[str, str]:
        """The PEM of a certificate for these names (those with :// are URIs) and of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives = [x509.UniformResourceIdentifier(name) if "://" in name else x509.DNSName(name) for name in names]
        built = _builder(_subject(names[0]), self._name, key.public_key())
        signed = built.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return _pem(signed.sign(self._key, hashes.SHA256())), secret.decode()

    def files(self, account: str) -> dict[str, bytes]:
        """New credentials of an account by name of file; `both.pem` is chain and key in one, as HAProxy wants it."""
        chain, key = self.leaf(short_name(account), identity(account))
        files = {"chain.pem": chain, "key.pem": key, "both.pem": chain + key, "roots.pem": self.pem}
        return {name: text.encode() for name, text in files.items()}


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


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
