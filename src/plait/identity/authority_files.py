"""The directory in which the authority is kept.

    root.crt           the root that peers trust
    root.key           its key; absent when the user gave an authority of their own
    intermediate.crt   the signer, then the certificates that link it to the root
    intermediate.key   the signer's key

A user's own authority is given as a certificate file and a key file. A self-signed certificate is a root: an
intermediate is made under it, and the root's key is not kept. Anything else is a signer itself: its file must
hold the chain up to the self-signed root.
"""

from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from plait.errors import RefusedError
from plait.identity.certificates import Signer, SigningKey, new_intermediate, new_root, pem
from plait.identity.private_files import write_private


def established(directory: Path) -> bool:
    """Whether an authority is kept in that directory."""
    return all((directory / name).exists() for name in ("root.crt", "intermediate.crt", "intermediate.key"))


def establish(directory: Path, trust_domain: str, now: datetime) -> None:
    """Make a root and an intermediate of our own."""
    root = new_root(trust_domain, now)
    write_private(directory / "root.key", private_pem(root.key))
    write_private(directory / "root.crt", pem(root.certificate))
    save_signer(directory, new_intermediate(root, trust_domain, now))


def adopt(directory: Path, trust_domain: str, certificate_file: Path, key_file: Path, *, now: datetime) -> None:
    """Keep what the user's authority gives us: its root, and a signer under it."""
    chain, key = read_chain(certificate_file), read_key(key_file)
    signer = Signer(certificate=chain[0], key=key, links=chain[1:-1])
    _check_belongs(signer, key_file)
    _check_may_sign(chain[0], certificate_file)
    if len(chain) == 1:
        signer = new_intermediate(signer, trust_domain, now)
    write_private(directory / "root.crt", pem(chain[-1]))
    save_signer(directory, signer)


def load(directory: Path) -> tuple[x509.Certificate, Signer]:
    """The root and the signer kept in that directory."""
    chain = x509.load_pem_x509_certificates((directory / "intermediate.crt").read_bytes())
    signer = Signer(certificate=chain[0], key=read_key(directory / "intermediate.key"), links=tuple(chain[1:]))
    _check_belongs(signer, directory / "intermediate.key")
    return x509.load_pem_x509_certificate((directory / "root.crt").read_bytes()), signer


def load_root_signer(directory: Path, root: x509.Certificate) -> Signer | None:
    """The root as a signer, if its key is ours."""
    key_file = directory / "root.key"
    return Signer(certificate=root, key=read_key(key_file)) if key_file.exists() else None


def save_signer(directory: Path, signer: Signer) -> None:
    """Keep a new signer: its key first, so that a certificate is never without one."""
    write_private(directory / "intermediate.key", private_pem(signer.key))
    write_private(directory / "intermediate.crt", signer.chain)


def read_chain(file: Path) -> tuple[x509.Certificate, ...]:
    """The certificates of a file, each signed by the next, the last one self-signed."""
    try:
        chain = tuple(x509.load_pem_x509_certificates(file.read_bytes()))
    except (OSError, ValueError) as error:
        raise RefusedError(f"{file}: no certificate can be read: {error}", "give a PEM file") from error
    for certificate, issuer in zip(chain, (*chain[1:], chain[-1]), strict=True):
        try:
            certificate.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature) as error:
            raise RefusedError(
                f"{file}: {certificate.subject.rfc4514_string()} is not signed by the certificate after it",
                "put the signer first, then its issuers, the self-signed root last",
            ) from error
    return chain


def read_key(file: Path) -> SigningKey:
    """The private key of a file: elliptic curve or RSA, PEM, not encrypted."""
    try:
        key = serialization.load_pem_private_key(file.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise RefusedError(f"{file}: no private key can be read: {error}", "give an unencrypted PEM key") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise RefusedError(f"{file}: keys of this type cannot sign", "give an elliptic-curve or RSA key")
    return key


def private_pem(key: SigningKey) -> bytes:
    """The key in PEM (PKCS #8, not encrypted)."""
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption())


def _check_belongs(signer: Signer, key_file: Path) -> None:
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    if signer.certificate.public_key().public_bytes(*form) != signer.key.public_key().public_bytes(*form):
        raise RefusedError(f"{key_file}: the key does not belong to the certificate", "give the certificate's own key")


def _check_may_sign(certificate: x509.Certificate, file: Path) -> None:
    try:
        authority = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        authority = False
    if not authority:
        raise RefusedError(f"{file}: the certificate may not sign others", "give a CA certificate (CA:TRUE)")
