"""Secrets of type kubernetes.io/tls to certificates, checked before Envoy sees them.

One malformed certificate would make Envoy reject a whole response, so a chain that does not parse or does not belong
to its key becomes a problem of the listener that names it.
"""

import base64
import binascii
from dataclasses import replace
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from plait.model.gateways import Credential, TlsCertificate
from plait.model.ids import ObjectName
from plait.resources.core.secret import Secret
from plait.snapshot.declared import DeclaredSecret

TLS_TYPE: Final = "kubernetes.io/tls"
_CHAIN: Final = "tls.crt"
_KEY: Final = "tls.key"
_KUBERNETES: Final = (_CHAIN, _KEY, "ca.crt")
_ISTIO: Final = ("cert", "key", "cacert")


def declare_secret(name: ObjectName, secret: Secret) -> DeclaredSecret:
    """The certificate that a Secret holds, or why it holds none."""
    credential = _credential(name, secret)
    if secret.type != TLS_TYPE:
        problem = f"is of type {secret.type}, not {TLS_TYPE}"
        return DeclaredSecret(name=name, certificate=None, problem=problem, credential=credential)
    chain, key = (_bytes(secret, field) for field in (_CHAIN, _KEY))
    problem = _problem(chain, key)
    return DeclaredSecret(
        name=name,
        certificate=None if problem else TlsCertificate(name=name, chain=chain, key=key),
        problem=problem,
        credential=credential,
    )


def _credential(name: ObjectName, secret: Secret) -> Credential | None:
    """What a Secret with Istio's or Kubernetes' keys holds for calls by TLS; None without any certificate."""
    found = Credential(name=name)
    for chain_field, key_field, authorities_field in (_KUBERNETES, _ISTIO):
        chain, key, authorities = (_bytes(secret, field) for field in (chain_field, key_field, authorities_field))
        if chain and not _problem(chain, key):
            found = replace(found, certificate=TlsCertificate(name=name, chain=chain, key=key))
        if _are_certificates(authorities):
            found = replace(found, authorities=authorities)
    return found if found.authorities or found.certificate else None


def _are_certificates(text: bytes) -> bool:
    try:
        return bool(x509.load_pem_x509_certificates(text))
    except ValueError:
        return False


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
