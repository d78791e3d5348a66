"""Replacing the root: decided in stages by what everybody holds, kept on disk so that no crash matters."""

import contextlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plait.errors import RefusedError
from plait.identity import authority_files, rotation
from plait.identity.authority import CertificateAuthority, open_authority
from plait.identity.certificates import Signer, new_intermediate, new_root, pem
from plait.identity.given_authority import GivenAuthority, private_pem
from plait.identity.rotation import LONGEST_LEAF, Holding, Stage
from plait.identity.svid import new_key, signing_request
from plait.identity.trust import fingerprint, fingerprints, root_of, signer_of

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
WEB = "spiffe://cluster.local/ns/default/sa/web"


def opened(directory: Path, now: datetime = NOW) -> CertificateAuthority:
    return open_authority(directory / "ca", "cluster.local", now=now)


def signed(authority: CertificateAuthority, now: datetime = NOW) -> bytes:
    return authority.sign(signing_request(new_key()), WEB, now=now)


def holding(authority: CertificateAuthority, chain: bytes) -> Holding:
    """What somebody holds who has that leaf and the bundle of now."""
    bundle = authority.bundle
    return Holding(signer=signer_of(chain), root=root_of(chain, bundle), roots=frozenset(fingerprints(bundle)))


def test_a_root_is_replaced_in_stages(tmp_path: Path) -> None:
    """Both are trusted before the new one signs, and until nobody shows what the old one signed."""
    ca = opened(tmp_path)
    old, first = ca.fingerprint, signed(ca)
    ca.rotate_root(now=NOW)
    assert ca.state.stage is Stage.DISTRIBUTING
    assert fingerprints(ca.bundle)[0] == old
    assert len(fingerprints(ca.bundle)) == 2
    assert root_of(signed(ca), ca.bundle) == old

    ca.advance(now=NOW)
    assert ca.state.stage is Stage.REPLACING
    assert root_of(signed(ca), ca.bundle) == ca.fingerprint != old
    assert root_of(first, ca.bundle) == old

    ca.advance(now=NOW)
    assert ca.state.stage is Stage.STEADY
    assert fingerprints(ca.bundle) == (ca.fingerprint,)
    assert root_of(first, ca.bundle) == ""
    with pytest.raises(RefusedError, match="no rotation"):
        ca.advance(now=NOW)


def test_the_servers_show_the_leaving_root_until_it_goes(tmp_path: Path) -> None:
    """Machines and tokens that know the old root alone reach control for as long as that root is trusted."""
    ca = opened(tmp_path)
    old = ca.fingerprint
    ca.rotate_root(now=NOW)
    ca.advance(now=NOW)
    assert root_of(ca.server_credentials(now=NOW).chain, ca.bundle) == old
    ca.advance(now=NOW)
    assert root_of(ca.server_credentials(now=NOW).chain, ca.bundle) == ca.fingerprint != old


def test_who_has_followed(tmp_path: Path) -> None:
    """First everybody must trust the new root, then have a leaf of it, then trust it alone."""
    ca = opened(tmp_path)
    before = holding(ca, signed(ca))
    assert rotation.follows(ca.state, before)
    ca.rotate_root(now=NOW)
    both = holding(ca, signed(ca))
    assert rotation.behind(ca.state, ["b", "a", "c"], {"a": both, "b": before}) == ("b", "c")
    ca.advance(now=NOW)
    renewed = holding(ca, signed(ca))
    assert not rotation.follows(ca.state, both)
    assert rotation.follows(ca.state, renewed)
    ca.advance(now=NOW)
    assert not rotation.follows(ca.state, renewed)
    assert rotation.follows(ca.state, holding(ca, signed(ca)))


def test_a_stage_ends_when_nobody_is_waited_for_or_no_old_leaf_can_be_valid(tmp_path: Path) -> None:
    """The new root signs before everybody trusts it only if the old one is about to end."""
    ca = opened(tmp_path)
    later = NOW + LONGEST_LEAF
    assert not rotation.is_over(ca.state, waiting=0, now=NOW)
    ca.rotate_root(now=NOW)
    assert not rotation.is_over(ca.state, waiting=1, now=later)
    assert rotation.is_over(ca.state, waiting=0, now=NOW)
    ca.advance(now=NOW)
    assert not rotation.is_over(ca.state, waiting=1, now=later - timedelta(seconds=1))
    assert rotation.is_over(ca.state, waiting=1, now=later)


def test_handing_out_ends_before_the_root_that_signs_does(tmp_path: Path) -> None:
    """A machine that is dead for good holds the mesh up until leaves would be cut short, and no longer."""
    ca = opened(tmp_path)
    ca.rotate_root(now=NOW + timedelta(days=3285))
    end = ca.state.signing.root.not_valid_after_utc
    ca.rotate_signer(now=NOW + timedelta(days=3286))
    assert not rotation.is_over(ca.state, waiting=1, now=end - LONGEST_LEAF - timedelta(seconds=1))
    assert rotation.is_over(ca.state, waiting=1, now=end - LONGEST_LEAF)
    ca.advance(now=end - LONGEST_LEAF)
    assert not rotation.is_over(ca.state, waiting=1, now=end - timedelta(seconds=1))
    assert rotation.is_over(ca.state, waiting=1, now=end)


def test_a_rotation_that_began_late_gets_half_of_what_is_left(tmp_path: Path) -> None:
    """The new root does not sign at once because the old one is near its end."""
    ca = opened(tmp_path)
    ca.rotate_signer(now=NOW + timedelta(days=3640))
    end = ca.state.signing.root.not_valid_after_utc
    ca.rotate_root(now=end - timedelta(days=8))
    assert rotation.stage_ends(ca.state) == end - timedelta(days=4)


def test_a_root_that_was_handed_out_takes_the_place_of_one_that_ended(tmp_path: Path) -> None:
    """Who trusts it already goes on; a restart of control makes no third one."""
    ca = opened(tmp_path)
    ca.rotate_root(now=NOW + timedelta(days=3600))
    coming = ca.state.other
    later = NOW + timedelta(days=3651)
    again = opened(tmp_path, later)
    assert coming is not None
    assert again.fingerprint == coming.root_print
    assert again.state.stage is Stage.REPLACING
    assert rotation.is_over(again.state, waiting=1, now=later)
    assert opened(tmp_path, later).fingerprint == coming.root_print


def test_a_rotation_can_be_cancelled_until_the_new_root_signs(tmp_path: Path) -> None:
    """Then the root to come is forgotten; later it cannot be."""
    ca = opened(tmp_path)
    bundle = ca.bundle
    ca.rotate_root(now=NOW)
    with pytest.raises(RefusedError, match="under way"):
        ca.rotate_root(now=NOW)
    ca.cancel(now=NOW)
    assert ca.bundle == bundle
    assert len(list((tmp_path / "ca").glob("root-*.crt"))) == 1
    ca.rotate_root(now=NOW)
    ca.advance(now=NOW)
    with pytest.raises(RefusedError, match="the new root signs"):
        ca.cancel(now=NOW)


def test_an_intermediate_is_replaced_when_told_to(tmp_path: Path) -> None:
    """The root stays; whoever has a leaf of the old one is behind; the haste is told and kept."""
    ca = opened(tmp_path)
    old = signed(ca)
    ca.rotate_signer(within=30.0, now=NOW)
    assert signer_of(signed(ca)) != signer_of(old)
    assert not rotation.follows(ca.state, holding(ca, old))
    assert opened(tmp_path).state.within == 30.0
    assert root_of(old, ca.bundle) == ca.fingerprint


def test_an_offline_root_needs_an_intermediate_given(tmp_path: Path) -> None:
    """Without the root's key none can be made; one signed elsewhere by that root is taken, another root's is not."""
    root = new_root("cluster.local", NOW)
    ca = open_authority(tmp_path / "ca", "cluster.local", given=files(tmp_path, root), now=NOW)
    assert not ca.keeps_root_key
    with pytest.raises(RefusedError, match="key is not kept here"):
        ca.rotate_signer(now=NOW)
    signer = new_intermediate(root, "cluster.local", NOW)
    ca.rotate_signer(given=GivenAuthority(chain=signer.chain + pem(root.certificate), key=private_pem(signer.key)))
    assert ca.state.signing.signer_print == fingerprint(signer.certificate)
    other = new_root("cluster.local", NOW)
    wrong = GivenAuthority(chain=pem(other.certificate), key=private_pem(other.key))
    with pytest.raises(RefusedError, match="--root"):
        ca.rotate_signer(given=wrong, now=NOW)
    ca.rotate_root(given=wrong, now=NOW)
    assert ca.fingerprints == (fingerprint(root.certificate), fingerprint(other.certificate))
    with pytest.raises(RefusedError, match="the root in force"):
        opened(tmp_path / "x").rotate_root(given=own(opened(tmp_path / "x")), now=NOW)


def test_what_is_given_at_each_start_does_not_undo_a_rotation(tmp_path: Path) -> None:
    """An intermediate given with --ca-cert that is older than the one in force is left aside."""
    root = new_root("cluster.local", NOW)
    first = new_intermediate(root, "cluster.local", NOW)
    chain = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain[0].write_bytes(first.chain + pem(root.certificate))
    chain[1].write_bytes(private_pem(first.key))
    ca = open_authority(tmp_path / "ca", "cluster.local", given=chain, now=NOW)
    later = NOW + timedelta(days=9)
    newer = new_intermediate(root, "cluster.local", later)
    given = GivenAuthority(chain=newer.chain + pem(root.certificate), key=private_pem(newer.key))
    ca.rotate_signer(given=given, now=later)
    for later in (NOW, NOW + timedelta(days=366)):
        again = open_authority(tmp_path / "ca", "cluster.local", given=chain, now=later)
        assert again.state.signing.signer_print == fingerprint(newer.certificate)


def test_a_root_that_was_replaced_may_still_be_given_at_each_start(tmp_path: Path) -> None:
    """A supervisor starts control again with the flags of before the rotation; that must not keep it down."""
    root = new_root("cluster.local", NOW)
    ca = open_authority(tmp_path / "ca", "cluster.local", given=files(tmp_path, root), now=NOW)
    ca.rotate_root(now=NOW)
    for _ in range(2):
        ca.advance(now=NOW)
        again = open_authority(tmp_path / "ca", "cluster.local", given=files(tmp_path, root), now=NOW)
        assert again.bundle == ca.bundle
    stranger = files(tmp_path, new_root("cluster.local", NOW))
    with pytest.raises(RefusedError, match="another root"):
        open_authority(tmp_path / "ca", "cluster.local", given=stranger, now=NOW)


def test_an_ended_root_of_our_own_is_replaced_at_the_start(tmp_path: Path) -> None:
    """Nothing that it signed is valid any more, so there is nothing to wait for."""
    ca = opened(tmp_path)
    later = NOW + timedelta(days=3651)
    again = opened(tmp_path, later)
    assert again.fingerprints != ca.fingerprints
    assert signed(again, later)


def test_an_ended_root_that_was_given_is_replaced_by_one_that_is_given(tmp_path: Path) -> None:
    """We make none in its place unasked: whom the mesh trusts was the user's choice."""
    open_authority(tmp_path / "ca", "cluster.local", given=files(tmp_path, new_root("cluster.local", NOW)), now=NOW)
    later = NOW + timedelta(days=3651)
    with pytest.raises(RefusedError, match=r"ended on .*--ca-cert"):
        opened(tmp_path, later)
    fresh = new_root("cluster.local", later)
    again = open_authority(tmp_path / "ca", "cluster.local", given=files(tmp_path, fresh), now=later)
    assert again.fingerprints == (fingerprint(fresh.certificate),)


def test_the_files_of_an_earlier_release_are_taken_over(tmp_path: Path) -> None:
    """The same root and intermediate sign, and their keys move to the new names."""
    root = new_root("cluster.local", NOW)
    signer = new_intermediate(root, "cluster.local", NOW)
    folder = tmp_path / "ca"
    folder.mkdir(mode=0o700)
    (folder / "root.crt").write_bytes(pem(root.certificate))
    (folder / "root.key").write_bytes(private_pem(root.key))
    (folder / "intermediate.crt").write_bytes(signer.chain)
    (folder / "intermediate.key").write_bytes(private_pem(signer.key))
    ca = opened(tmp_path)
    assert ca.fingerprint == fingerprint(root.certificate)
    assert ca.state.signing.signer_print == fingerprint(signer.certificate)
    assert ca.keeps_root_key
    assert not (folder / "root.key").exists()


def test_a_damaged_directory_is_refused_in_a_sentence(tmp_path: Path) -> None:
    """Nothing is made anew over keys that may still be saved."""
    opened(tmp_path)
    (tmp_path / "ca" / "authority.json").write_text("{")
    with pytest.raises(RefusedError, match="restore the directory from a backup"):
        opened(tmp_path)


class KilledError(Exception):
    """Stands for kill -9 at that write."""


DEEDS: list[Callable[[CertificateAuthority], None]] = [
    lambda ca: ca.rotate_signer(now=NOW),
    lambda ca: ca.rotate_root(now=NOW),
    lambda ca: ca.advance(now=NOW),
    lambda ca: ca.cancel(now=NOW),
]


@settings(max_examples=60, deadline=None)
@given(deeds=st.lists(st.tuples(st.sampled_from(DEEDS), st.integers(0, 12)), max_size=6))
def test_a_crash_leaves_the_state_before_or_after(
    tmp_path_factory: pytest.TempPathFactory, deeds: list[tuple[Callable[[CertificateAuthority], None], int]]
) -> None:
    """Killed at any write or removal, control starts again with a whole state that signs what its bundle trusts."""
    folder = tmp_path_factory.mktemp("m")
    for deed, left in deeds:
        ca = opened(folder)
        before, killed = set(ca.fingerprints), True
        with pytest.MonkeyPatch.context() as patch, contextlib.suppress(KilledError, RefusedError):
            kill_after(patch, left)
            deed(ca)
            killed = False
        found = opened(folder)
        found.tidy()
        assert len(list((folder / "ca").iterdir())) == 1 + 4 * len(found.state.trusted)
        assert killed or found.bundle == ca.bundle
        assert before & set(found.fingerprints)
        assert root_of(signed(found), found.bundle) == found.fingerprint
        json.loads((folder / "ca" / "authority.json").read_text())


def kill_after(patch: pytest.MonkeyPatch, left: int) -> None:
    """Let so many writes and removals happen, and no more."""
    steps = iter(range(left))
    write, unlink = authority_files.write_private, Path.unlink

    def step() -> None:
        if next(steps, None) is None:
            raise KilledError

    def written(path: Path, content: bytes) -> None:
        step()
        write(path, content)

    def unlinked(path: Path, missing_ok: bool = False) -> None:
        step()
        unlink(path, missing_ok=missing_ok)

    patch.setattr(authority_files, "write_private", written)
    patch.setattr(Path, "unlink", unlinked)


def files(folder: Path, root: Signer) -> tuple[Path, Path]:
    """A root's certificate and key in files."""
    (folder / "root.pem").write_bytes(pem(root.certificate))
    (folder / "root.pem.key").write_bytes(private_pem(root.key))
    return folder / "root.pem", folder / "root.pem.key"


def own(ca: CertificateAuthority) -> GivenAuthority:
    """The authority itself, as its owner could give it."""
    signer = ca.state.signing.signer
    return GivenAuthority(chain=signer.chain + ca.bundle, key=private_pem(signer.key))
