"""Secrets of type kubernetes.io/tls to certificates, checked before Envoy sees them.

One malformed certificate would make Envoy reject a whole response, so a chain that does not parse or does not belong
to its key becomes a problem of the listener that names it.
"""

import base64
import binascii
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from plait.model.gateways import TlsCertificate
from plait.model.ids import ObjectName
from plait.resources.core.secret import Secret
from plait.snapshot.declared import DeclaredSecret

TLS_TYPE: Final = "kubernetes.io/tls"
_CHAIN: Final = "tls.crt"
_KEY: Final = "tls.key"


def declare_secret(name: ObjectName, secret: Secret) -> DeclaredSecret:
    """The certificate that a Secret holds, or why it holds none."""
    if secret.type != TLS_TYPE:
        return DeclaredSecret(name=name, certificate=None, problem=f"is of type {secret.type}, not {TLS_TYPE}")
    chain, key = (_bytes(secret, field) for field in (_CHAIN, _KEY))
    problem = _problem(chain, key)
    return DeclaredSecret(
        name=name,
        certificate=None if problem else TlsCertificate(name=name, chain=chain, key=key),
        problem=problem,
    )


def _bytes(secret: Secret, field: str) -> bytes:
    if field in secret.string_data:
        return secret.string_data[field].encode()
    try:
        return base64.b64decode(secret.data.get(field, ""), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _problem(chain: bytes, key: bytes) -> str:
    try:
        certificates = x509.load_pem_x509_certificates(chain)
    except ValueError:
        return f"has no PEM certificate in {_CHAIN}"
    try:
        private = load_pem_private_key(key, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return f"has no PEM private key without password in {_KEY}"
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    if certificates[0].public_key().public_bytes(*form) != private.public_key().public_bytes(*form):
        return f"has a {_KEY} that does not belong to its {_CHAIN}"
    return ""
