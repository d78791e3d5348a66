"""Which root and which signer a certificate chain goes back to. Pure; fingerprints are SHA-256 in hexadecimal.

A chain is what its owner shows: the leaf, its signer, and what links that to a root. The root itself is not part of
it; it is looked for in a trust bundle.
"""

from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes


def fingerprint(certificate: x509.Certificate) -> str:
    """The certificate's fingerprint."""
    return certificate.fingerprint(hashes.SHA256()).hex()


@lru_cache(maxsize=64)
def fingerprints(bundle: bytes) -> tuple[str, ...]:
    """The fingerprints of a bundle's roots (PEM), in its order; none if it cannot be read."""
    return tuple(fingerprint(certificate) for certificate in _read(bundle))


@lru_cache(maxsize=1024)
def signer_of(chain: bytes) -> str:
    """The fingerprint of the certificate that signed the leaf; empty if the chain (PEM, leaf first) lacks it."""
    certificates = _read(chain)
    return fingerprint(certificates[1]) if len(certificates) > 1 else ""


@lru_cache(maxsize=1024)
def root_of(chain: bytes, bundle: bytes) -> str:
    """The fingerprint of the bundle's root that the chain's last certificate was signed by; empty if it is none."""
    certificates = _read(chain)
    return next((fingerprint(root) for root in _read(bundle) if certificates and _issued(certificates[-1], root)), "")


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _read(text: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(text)
    except ValueError:
        return []
