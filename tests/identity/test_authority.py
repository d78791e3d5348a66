"""The certificate authority: what it signs, how it is kept, what it refuses."""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.verification import PolicyBuilder, Store

from plait.errors import RefusedError
from plait.identity import authority_files, spiffe
from plait.identity.authority import CertificateAuthority, open_authority
from plait.identity.certificates import new_root, pem
from plait.identity.given_authority import private_pem
from plait.identity.svid import new_key, signing_request, spiffe_id_of, svid

REVIEWS = "spiffe://cluster.local/ns/default/sa/reviews"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def authority(directory: Path, now: datetime = NOW) -> CertificateAuthority:
    return open_authority(directory / "ca", "cluster.local", now=now)


def verified(chain: bytes, bundle: bytes, at: datetime) -> list[x509.Certificate]:
    """The chain as an independent verifier builds it from leaf to trusted root."""
    leaf, *links = x509.load_pem_x509_certificates(chain)
    store = Store(x509.load_pem_x509_certificates(bundle))
    verifier = PolicyBuilder().store(store).time(at.replace(tzinfo=None)).build_client_verifier()
    return verifier.verify(leaf, links).chain


def test_a_leaf_names_the_identity_and_verifies_against_the_bundle(tmp_path: Path) -> None:
    """A signed request becomes a day-long certificate with the SPIFFE ID as its only, critical, name."""
    ca = authority(tmp_path)
    chain = ca.sign(signing_request(new_key()), REVIEWS, now=NOW)

    leaf = verified(chain, ca.bundle, NOW)[0]
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.critical
    assert spiffe_id_of(leaf) == REVIEWS
    assert not list(leaf.subject)
    assert leaf.not_valid_before_utc < NOW
    assert leaf.not_valid_after_utc == NOW + timedelta(hours=24)


def test_the_authority_survives_a_restart(tmp_path: Path) -> None:
    """A second opening gives the same root and signs with the same intermediate."""
    first, second = authority(tmp_path), authority(tmp_path)
    chains = [ca.sign(signing_request(new_key()), REVIEWS, now=NOW) for ca in (first, second)]

    assert first.bundle == second.bundle
    assert first.fingerprint == second.fingerprint
    assert len({tuple(x509.load_pem_x509_certificates(chain)[1:]) for chain in chains}) == 1


def test_files_are_private(tmp_path: Path) -> None:
    """Directory and files can be read by their owner only."""
    authority(tmp_path)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "ca").iterdir()}

    assert stat.S_IMODE((tmp_path / "ca").stat().st_mode) == 0o700
    assert set(modes.values()) == {0o600}
    assert sorted(name.split("-")[0] + name[-4:] for name in modes) == [
        "authority.jsonjson",
        "intermediate.crt",
        "intermediate.key",
        "root.crt",
        "root.key",
    ]


def test_the_intermediate_is_replaced_at_half_its_life(tmp_path: Path) -> None:
    """Seven months later a new intermediate signs, kept on disk, and the bundle stays the same."""
    ca = authority(tmp_path)
    old = ca.sign(signing_request(new_key()), REVIEWS, now=NOW)
    later = NOW + timedelta(days=210)
    new = ca.sign(signing_request(new_key()), REVIEWS, now=later)

    assert x509.load_pem_x509_certificates(old)[1] != x509.load_pem_x509_certificates(new)[1]
    assert verified(new, ca.bundle, later)
    kept = authority_files.load(tmp_path / "ca").signing.signer.certificate
    assert kept == x509.load_pem_x509_certificates(new)[1]


def test_server_credentials_carry_control_names_and_addresses(tmp_path: Path) -> None:
    """Control's certificate is valid for its identity, its fixed DNS name and every address it listens on."""
    ca = authority(tmp_path)
    mine = ca.server_credentials(["mesh.example"], ["127.0.0.1", "::1"], now=NOW)

    leaf = verified(mine.chain, ca.bundle, NOW)[0]
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [spiffe.CONTROL_SERVER_NAME, "mesh.example"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    assert mine.spiffe_id == "spiffe://cluster.local/plait/control"
    assert b"PRIVATE" not in repr(mine).encode()


def test_identities_of_other_trust_domains_are_refused(tmp_path: Path) -> None:
    """The authority signs only for its own trust domain."""
    with pytest.raises(RefusedError, match=r"not of trust domain cluster\.local"):
        authority(tmp_path).sign(signing_request(new_key()), "spiffe://other/ns/a/sa/b")


def test_bad_requests_are_refused(tmp_path: Path) -> None:
    """A request that is no request, or whose key is of an unusable type, is refused in a sentence."""
    weak = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    other_type = weak.sign(ed25519.Ed25519PrivateKey.generate(), None).public_bytes(serialization.Encoding.PEM)
    for request in (b"hello", other_type):
        with pytest.raises(RefusedError, match="signing request"):
            authority(tmp_path).sign(request, REVIEWS)


def test_a_given_root_signs_an_intermediate_and_its_key_is_not_kept(tmp_path: Path) -> None:
    """With the user's own root, leaves verify against that root; its key stays where it was."""
    root = new_root("cluster.local", NOW)
    files = given(tmp_path, pem(root.certificate), private_pem(root.key))
    ca = open_authority(tmp_path / "ca", "cluster.local", given=files, now=NOW)

    assert ca.bundle == pem(root.certificate)
    assert verified(ca.sign(signing_request(new_key()), REVIEWS, now=NOW), ca.bundle, NOW)
    assert not ca.keeps_root_key
    assert not list((tmp_path / "ca").glob("root-*.key"))
    assert authority(tmp_path).bundle == ca.bundle


def test_a_given_intermediate_signs_leaves_itself(tmp_path: Path) -> None:
    """A signer with its chain up to the root is used as it is."""
    other = authority(tmp_path / "other")
    signer = other.state.signing.signer
    files = given(tmp_path, signer.chain + other.bundle, private_pem(signer.key))
    ca = open_authority(tmp_path / "ca", "cluster.local", given=files, now=NOW)

    assert ca.bundle == other.bundle
    assert verified(ca.sign(signing_request(new_key()), REVIEWS, now=NOW), other.bundle, NOW)


def test_mistaken_authorities_are_explained(tmp_path: Path) -> None:
    """Wrong key, missing root, unreadable file, leaf as authority: each is a sentence, and nothing is kept."""
    root, other = new_root("cluster.local", NOW), new_root("cluster.local", NOW)
    ca = authority(tmp_path / "other")
    request_key = new_key()
    chain = ca.sign(signing_request(request_key), REVIEWS, now=NOW)
    cases = {
        "does not belong": (pem(root.certificate), private_pem(other.key)),
        "not signed by": (x509_first(chain, 1), private_pem(other.key)),
        "no certificate can be read": (b"", b""),
        "no private key can be read": (pem(root.certificate), b""),
        "may not sign": (chain + ca.bundle, request_key),
    }
    for problem, (certificate, key) in cases.items():
        with pytest.raises(RefusedError, match=problem):
            open_authority(tmp_path / "ca", "cluster.local", given=given(tmp_path, certificate, key), now=NOW)
    assert not authority_files.established(tmp_path / "ca")


def test_another_root_or_trust_domain_than_the_kept_one_is_refused(tmp_path: Path) -> None:
    """A state directory belongs to one root and one trust domain."""
    authority(tmp_path)
    root = new_root("cluster.local", NOW)
    files = given(tmp_path, pem(root.certificate), private_pem(root.key))

    with pytest.raises(RefusedError, match="another root"):
        open_authority(tmp_path / "ca", "cluster.local", given=files)
    with pytest.raises(RefusedError, match=r"--trust-domain cluster\.local"):
        open_authority(tmp_path / "ca", "other.example")
    with pytest.raises(RefusedError, match="not valid"):
        open_authority(tmp_path / "new", "NO SPACES")


def test_an_ended_signer_is_refused(tmp_path: Path) -> None:
    """A given intermediate that has ended says what to start control with."""
    root = new_root("cluster.local", NOW)
    files = given(tmp_path, pem(root.certificate), private_pem(root.key))
    ca = open_authority(tmp_path / "ca", "cluster.local", given=files, now=NOW)

    with pytest.raises(RefusedError, match="--ca-cert"):
        ca.sign(signing_request(new_key()), REVIEWS, now=NOW + timedelta(days=400))


def test_an_svid_needs_its_own_key(tmp_path: Path) -> None:
    """Chain and key that do not belong together are refused."""
    chain = authority(tmp_path).sign(signing_request(new_key()), REVIEWS)
    with pytest.raises(RefusedError, match="another key"):
        svid(chain, new_key())
    with pytest.raises(RefusedError, match="cannot be read"):
        svid(b"", new_key())


def test_the_fingerprint_is_the_sha256_of_the_root(tmp_path: Path) -> None:
    """What a token carries can be computed from the bundle alone."""
    ca = authority(tmp_path)
    root = x509.load_pem_x509_certificate(ca.bundle)
    assert ca.fingerprint == root.fingerprint(hashes.SHA256()).hex()
    assert isinstance(root.public_key(), ec.EllipticCurvePublicKey)


def given(directory: Path, certificate: bytes, key: bytes) -> tuple[Path, Path]:
    (directory / "given.crt").write_bytes(certificate)
    (directory / "given.key").write_bytes(key)
    return directory / "given.crt", directory / "given.key"


def x509_first(chain: bytes, index: int) -> bytes:
    return pem(x509.load_pem_x509_certificates(chain)[index])
