"""SVIDs: a private key, the certificate chain that names its owner, and when to replace them.

The key is made on the machine that uses it and never leaves it; only the signing request travels. A certificate
is replaced at half its life, moved earlier by a random share so that machines that started together do not
ask together.
"""

from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from plait.errors import RefusedError
from plait.identity.certificates import BACKDATED


@dataclass(frozen=True, slots=True, kw_only=True)
class Svid:
    """A certificate chain (leaf first) and its key, PEM. The key never appears in a repr."""

    spiffe_id: str
    chain: bytes = field(repr=False)
    key: bytes = field(repr=False)
    not_before: datetime
    not_after: datetime


def new_key() -> bytes:
    """A new P-256 key, PEM (PKCS #8, not encrypted)."""
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def signing_request(key: bytes) -> bytes:
    """A certificate signing request (PEM) for that key; it names nobody, the authority decides who is asking."""
    private_key = serialization.load_pem_private_key(key, None)
    if not isinstance(private_key, ec.EllipticCurvePrivateKey):
        raise RefusedError("the key is not an elliptic-curve key", "make a new one")
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(private_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def spiffe_id_of(certificate: x509.Certificate) -> str:
    """The SPIFFE ID of a certificate; empty if it has none or more than one URI."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ""
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    return uris[0] if len(uris) == 1 and uris[0].startswith("spiffe://") else ""


def svid(chain: bytes, key: bytes) -> Svid:
    """The SVID of a chain and its key; RefusedError if they do not belong together."""
    try:
        leaf = x509.load_pem_x509_certificate(chain)
        public = serialization.load_pem_private_key(key, None).public_key()
    except ValueError as error:
        raise RefusedError(f"certificate or key cannot be read: {error}", "delete both, new ones are made") from error
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    if leaf.public_key().public_bytes(*form) != public.public_bytes(*form):
        raise RefusedError("the certificate was issued for another key", "delete both, new ones are made")
    return Svid(
        spiffe_id=spiffe_id_of(leaf),
        chain=chain,
        key=key,
        not_before=leaf.not_valid_before_utc,
        not_after=leaf.not_valid_after_utc,
    )


def renewal_time(not_before: datetime, not_after: datetime, *, chance: float) -> datetime:
    """When to renew: between 40 % and 50 % of the life, `chance` (0 to 1) decides where.

    The life begins when the certificate was issued, which is `BACKDATED` after `not_before`.
    """
    issued = min(not_before + BACKDATED, not_after)
    return issued + (not_after - issued) * (0.5 - 0.1 * chance)
