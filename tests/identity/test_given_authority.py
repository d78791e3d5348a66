"""What is refused of an authority that a user gives, since peers would refuse what it signs."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from plait.errors import RefusedError
from plait.identity.certificates import Signer, new_intermediate, pem
from plait.identity.given_authority import GivenAuthority, private_pem

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def root(*, begins: int = -1, ends: int = 100, length: int | None = None, signs: bool = True) -> Signer:
    """A user's own root, valid between these days from now."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "own")])
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only"), False
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + timedelta(days=begins))
        .not_valid_after(NOW + timedelta(days=ends))
        .add_extension(x509.BasicConstraints(ca=True, path_length=length), critical=True)
        .add_extension(
            x509.KeyUsage(digital_signature=True, key_cert_sign=signs, crl_sign=signs, decipher_only=False, **usage),
            critical=True,
        )
    )
    return Signer(certificate=builder.sign(key, hashes.SHA256()), key=key)


def given(*chain: Signer) -> GivenAuthority:
    """That chain with the key of its first."""
    return GivenAuthority(chain=b"".join(pem(item.certificate) for item in chain), key=private_pem(chain[0].key))


@pytest.mark.parametrize(
    ("own", "problem"),
    [
        (root(length=0), "no certificate authority below it"),
        (root(signs=False), "may not sign others"),
        (root(ends=0), "ended on 2026-11-22"),
        (root(begins=2), "not valid before 2026-11-24"),
    ],
    ids=["no-intermediates", "key-usage", "ended", "not-yet"],
)
def test_a_root_under_which_no_leaf_would_be_valid_is_refused(own: Signer, problem: str) -> None:
    """Alone, and with a signer of the user's own below it."""
    signer = new_intermediate(own, "cluster.local", NOW - timedelta(days=1))
    for chain in (given(own), given(signer, own)):
        with pytest.raises(RefusedError, match=problem):
            chain.line("cluster.local", NOW)


@pytest.mark.parametrize("length", [None, 1])
def test_a_root_that_allows_an_intermediate_is_taken(length: int | None) -> None:
    """With room for one or for any number; the signer that is made under it does not outlive it."""
    own = root(length=length)
    line = given(own).line("cluster.local", NOW)
    assert line.root == own.certificate
    assert line.signer.ends <= own.ends
