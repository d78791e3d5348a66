"""How the mesh's certificates look: roots, intermediates, leaves. Pure: a key or request in, a certificate out.

A leaf has an empty subject, so its subject alternative name is critical (RFC 5280 4.2.1.6), and every certificate
is valid from a little before now, since clocks differ.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from plait.errors import RefusedError

LEAF_LIFE: Final = timedelta(hours=24)
INTERMEDIATE_LIFE: Final = timedelta(days=365)
ROOT_LIFE: Final = timedelta(days=3650)
BACKDATED: Final = timedelta(minutes=5)

SigningKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """A certificate that may sign others, its key, and the certificates between it and the root."""

    certificate: x509.Certificate
    key: SigningKey = field(repr=False)
    links: tuple[x509.Certificate, ...] = ()

    @property
    def chain(self) -> bytes:
        """What a peer needs beside the leaf to reach the root, PEM."""
        return b"".join(pem(certificate) for certificate in (self.certificate, *self.links))

    @property
    def ends(self) -> datetime:
        """When the first certificate of the chain ends."""
        return min(certificate.not_valid_after_utc for certificate in (self.certificate, *self.links))


def utc_now() -> datetime:
    """The time of day, with its zone."""
    return datetime.now(UTC)


def pem(certificate: x509.Certificate) -> bytes:
    """The certificate in PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def new_root(trust_domain: str, now: datetime) -> Signer:
    """A self-signed root."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{trust_domain} root"[:64])])
    builder = _authority(_dated(name, name, now, now + ROOT_LIFE), key, trust_domain, path_length=1)
    return Signer(certificate=builder.sign(key, hashes.SHA256()), key=key)


def new_intermediate(root: Signer, trust_domain: str, now: datetime) -> Signer:
    """A new signer under the root."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{trust_domain} intermediate"[:64])])
    end = min(now + INTERMEDIATE_LIFE, root.ends)
    builder = _authority(_dated(name, root.certificate.subject, now, end), key, trust_domain, path_length=0)
    builder = builder.add_extension(_authority_key(root), critical=False)
    return Signer(certificate=builder.sign(root.key, hashes.SHA256()), key=key)


def leaf(
    signer: Signer,
    request: x509.CertificateSigningRequest,
    alternatives: Sequence[x509.GeneralName],
    *,
    now: datetime,
    ttl: timedelta,
) -> x509.Certificate:
    """A certificate for the request's key, valid for these names as client and as server."""
    usages = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    builder = (
        _dated(x509.Name([]), signer.certificate.subject, now, min(now + ttl, signer.ends))
        .public_key(request.public_key())
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=True)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(usages, critical=False)
        .add_extension(_authority_key(signer), critical=False)
    )
    return builder.sign(signer.key, hashes.SHA256())


def verified_request(request: bytes) -> x509.CertificateSigningRequest:
    """The signing request, once its signature and its key are found good."""
    try:
        parsed = x509.load_pem_x509_csr(request)
        key, signed = parsed.public_key(), parsed.is_signature_valid
    except ValueError as error:
        raise RefusedError("the signing request cannot be read", "send a PKCS #10 request in PEM") from error
    elliptic = isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in {"secp256r1", "secp384r1"}
    if not signed or not (elliptic or (isinstance(key, rsa.RSAPublicKey) and key.key_size >= 2048)):
        raise RefusedError("the signing request's key or signature is not acceptable", "use a P-256 key")
    return parsed


def _dated(subject: x509.Name, issuer: x509.Name, now: datetime, end: datetime) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer)
    return builder.serial_number(x509.random_serial_number()).not_valid_before(now - BACKDATED).not_valid_after(end)


def _authority(
    builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey, trust_domain: str, *, path_length: int
) -> x509.CertificateBuilder:
    uri = x509.UniformResourceIdentifier(f"spiffe://{trust_domain}")
    return (
        builder.public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectAlternativeName([uri]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _authority_key(signer: Signer) -> x509.AuthorityKeyIdentifier:
    try:
        subject_key = signer.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key())
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(subject_key)
