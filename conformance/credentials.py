"""Certificates of the cases: an authority, leaves for hosts, and a stranger that nobody trusts."""

import base64
import datetime
from collections.abc import Mapping, Sequence
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_LIFE: Final = datetime.timedelta(days=1)


class Authority:
    """A self-signed root; `pem` is its certificate."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _subject(name)
        ca = x509.BasicConstraints(ca=True, path_length=0)
        built = _builder(self._name, self._name, self._key.public_key()).add_extension(ca, critical=True)
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


def tls_secret(namespace: str, name: str, leaf: tuple[str, str]) -> Mapping[str, Any]:
    """A Secret with a certificate and its key."""
    data = {"tls.crt": leaf[0], "tls.key": leaf[1]}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"namespace": namespace, "name": name},
        "data": {key: base64.b64encode(text.encode()).decode() for key, text in data.items()},
    }


def authority_map(namespace: str, name: str, roots: Sequence[str]) -> Mapping[str, Any]:
    """A ConfigMap with roots."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"namespace": namespace, "name": name},
        "data": {"ca.crt": "".join(roots)},
    }


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
        .not_valid_after(now + _LIFE)
    )
