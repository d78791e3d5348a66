"""An authority that a user gives: certificates and a key in PEM.

A single self-signed certificate is a root: an intermediate is made under it, and the root's key is not kept. Anything
else is a signer itself, followed by the chain up to the self-signed root: the root's key may stay wherever it is.
"""

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from plait.errors import RefusedError
from plait.identity.certificates import Signer, SigningKey, new_intermediate
from plait.identity.rotation import Line


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenAuthority:
    """What a user gave, and how to call it when it is mistaken. The key never appears in a repr."""

    chain: bytes
    key: bytes = field(repr=False)
    chain_name: str = "the certificates"
    key_name: str = "the key"

    @classmethod
    def of_files(cls, certificate: Path, key: Path) -> "GivenAuthority":
        """What is in two files; RefusedError if they cannot be read."""
        content: list[bytes] = []
        for file in (certificate, key):
            try:
                content.append(file.read_bytes())
            except OSError as error:
                raise RefusedError(f"{file}: cannot be read: {error.strerror}", "give a PEM file") from error
        return cls(chain=content[0], key=content[1], chain_name=str(certificate), key_name=str(key))

    def root(self) -> x509.Certificate:
        """The root that the chain ends with."""
        return read_chain(self.chain, self.chain_name)[-1]

    def ends(self) -> datetime:
        """When the first of the certificates ends."""
        return min(item.not_valid_after_utc for item in read_chain(self.chain, self.chain_name))

    def line(self, trust_domain: str, now: datetime) -> Line:
        """The root, and a signer under it; RefusedError tells what is wrong with what was given."""
        chain, key = read_chain(self.chain, self.chain_name), read_key(self.key, self.key_name)
        signer = Signer(certificate=chain[0], key=key, links=chain[1:-1])
        check_belongs(signer, self.key_name)
        for below, certificate in enumerate(chain):
            _check_may_sign(certificate, self.chain_name, below=below + (len(chain) == 1))
            _check_valid(certificate, self.chain_name, now)
        if len(chain) == 1:
            signer = new_intermediate(signer, trust_domain, now)
        return Line(root=chain[-1], signer=signer)


def read_chain(content: bytes, name: str) -> tuple[x509.Certificate, ...]:
    """The certificates of a PEM text, each signed by the next, the last one self-signed."""
    try:
        chain = tuple(x509.load_pem_x509_certificates(content))
    except ValueError as error:
        raise RefusedError(f"{name}: no certificate can be read: {error}", "give a PEM file") from error
    for certificate, issuer in zip(chain, (*chain[1:], chain[-1]), strict=True):
        try:
            certificate.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature) as error:
            raise RefusedError(
                f"{name}: {certificate.subject.rfc4514_string()} is not signed by the certificate after it",
                "put the signer first, then its issuers, the self-signed root last",
            ) from error
    return chain


def read_key(content: bytes, name: str) -> SigningKey:
    """The private key of a PEM text: elliptic curve or RSA, not encrypted."""
    try:
        key = serialization.load_pem_private_key(content, None)
    except (ValueError, TypeError) as error:
        raise RefusedError(f"{name}: no private key can be read: {error}", "give an unencrypted PEM key") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise RefusedError(f"{name}: keys of this type cannot sign", "give an elliptic-curve or RSA key")
    return key


def private_pem(key: SigningKey) -> bytes:
    """The key in PEM (PKCS #8, not encrypted)."""
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption())


def check_belongs(signer: Signer, name: str) -> None:
    """RefusedError unless the signer's key is its certificate's."""
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    if signer.certificate.public_key().public_bytes(*form) != signer.key.public_key().public_bytes(*form):
        raise RefusedError(f"{name}: the key does not belong to the certificate", "give the certificate's own key")


def _check_may_sign(certificate: x509.Certificate, name: str, *, below: int) -> None:
    """RefusedError unless it may sign others, with so many authorities between it and a leaf."""
    extensions = certificate.extensions
    try:
        constraints = extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        constraints = x509.BasicConstraints(ca=False, path_length=None)
    usages = (item.value for item in extensions if isinstance(item.value, x509.KeyUsage))
    if not constraints.ca or not all(usage.key_cert_sign for usage in usages):
        raise RefusedError(
            f"{name}: the certificate may not sign others", "give a CA certificate (CA:TRUE, keyCertSign)"
        )
    if constraints.path_length is not None and constraints.path_length < below:
        room = constraints.path_length or "no"
        raise RefusedError(
            f"{name}: {certificate.subject.rfc4514_string()} has room for {room} certificate authority below it"
            f" (pathlen), not for {below}",
            "give a root with a longer path, or a signer nearer to it",
        )


def _check_valid(certificate: x509.Certificate, name: str, now: datetime) -> None:
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if ends <= now:
        raise RefusedError(f"{name}: ended on {ends:%Y-%m-%d}", "give one that is valid")
    if begins > now:
        raise RefusedError(f"{name}: is not valid before {begins:%Y-%m-%d %H:%M} UTC", "wait, or give one that is")
