"""Joining a mesh: what can be told without one."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from plait.errors import ForbiddenError, RefusedError
from plait.identity.authority import open_authority
from plait.identity.svid import new_key, signing_request, svid
from plait.identity.tokens import JoinToken
from plait.node import join, settings
from plait.node.http import Answer
from plait.node.join import Member, Membership
from plait.node.membership import MachineIdentity
from plait.node.mesh_settings import MeshSettings, parse
from plait.node.state import NodeDirectory


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("10.0.0.1", ("10.0.0.1", 7000)),
        ("control.example:7443", ("control.example", 7443)),
        ("[2001:db8::1]:7443", ("2001:db8::1", 7443)),
        ("[2001:db8::1]", ("2001:db8::1", 7000)),
        ("2001:db8::1", ("2001:db8::1", 7000)),
    ],
)
def test_control_addresses(text: str, found: tuple[str, int]) -> None:
    """HOST or HOST:PORT; the token knows the port."""
    assert join.control_address(text, 7000) == found


@pytest.mark.parametrize("text", ["", "host:port"])
def test_wrong_control_addresses_are_told(text: str) -> None:
    """Nothing, or a port that is none."""
    with pytest.raises(RefusedError, match="control"):
        join.control_address(text, 7000)


def member(folder: Path, *, fingerprint: str = "") -> Member:
    authority = open_authority(folder / "ca", "cluster.local")
    key = new_key()
    identity = svid(authority.sign(signing_request(key), "spiffe://cluster.local/plait/node/vm"), key)
    membership = Membership(
        node="vm",
        cidr="10.5.0.0/24",
        trust_domain="cluster.local",
        ads_address="127.0.0.1:1",
        address="127.0.0.1",
        fingerprint=fingerprint or authority.fingerprint,
    )
    return Member(membership=membership, identity=identity, bundle=authority.bundle)


def prepared(folder: Path) -> NodeDirectory:
    directory = NodeDirectory(folder / "state")
    directory.prepare(proxy_uid=0)
    return directory


def test_membership_is_kept_and_needs_no_token(tmp_path: Path) -> None:
    """A restarted agent is a member as before, its key readable by nobody else."""
    directory, found = prepared(tmp_path), member(tmp_path)
    join.keep(directory, found)
    assert asyncio.run(join.member(settings.load({}, state_dir=directory.root), directory)) == found
    assert (directory.identity / "key.pem").stat().st_mode & 0o777 == 0o600
    assert found.membership.fingerprint == join.fingerprint_of(found.bundle)


def test_beside_control_the_present_address_counts(tmp_path: Path) -> None:
    """Control's ports may change with each of its starts."""
    directory, found = prepared(tmp_path), member(tmp_path)
    join.keep(directory, found)
    (directory.root / "control").mkdir()
    endpoints = {"ads_address": "127.0.0.1:7777", "root_fingerprint": found.membership.fingerprint}
    (directory.run / "endpoints.json").write_text(json.dumps(endpoints))
    again = asyncio.run(join.member(settings.load({}, state_dir=directory.root), directory))
    assert again.membership.ads_address == "127.0.0.1:7777"


def test_an_old_token_in_the_flags_harms_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the roots were replaced a unit file may still name the token of before: the membership counts."""
    directory, found = prepared(tmp_path), member(tmp_path)
    join.keep(directory, found)
    asked: list[str] = []

    async def refused(given: settings.NodeSettings, directory: NodeDirectory) -> Member:
        del directory
        asked.append(given.join)
        raise ForbiddenError("the control plane that answered is not the one that made the token")

    monkeypatch.setattr(join, "_join_there", refused)
    for prints in (("ab" * 32,), (found.membership.fingerprint, "ab" * 32)):
        token = JoinToken(id="1", secret="s", node="m", api_port=1, ads_port=2, fingerprints=prints)
        given = settings.load({}, state_dir=directory.root, join=token.encode(), control="192.0.2.1")
        assert asyncio.run(join.member(given, directory)) == found
    assert len(asked) == 1


def test_without_token_or_control_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent that cannot be a member of anything ends with the two ways to become one."""
    monkeypatch.setattr(join, "LOCAL_WITHIN", 0.0)
    directory = prepared(tmp_path)
    with pytest.raises(RefusedError) as refusal:
        asyncio.run(join.member(settings.load({}, state_dir=directory.root), directory))
    assert "plait up" in refusal.value.remedy
    assert "--join" in refusal.value.remedy


def test_a_refusal_of_control_is_passed_on() -> None:
    """The sentence that control gives is what the user reads."""
    answer = Answer(403, {}, json.dumps({"detail": "the token was used already", "remedy": "make another"}).encode())
    with pytest.raises(ForbiddenError, match="used already; make another"):
        join.accepted(answer)


class Source:
    """Control's settings, which may be away."""

    def __init__(self, document: dict[str, object]) -> None:
        self.document = document
        self.told: list[Mapping[str, object]] = []

    async def settings(self, holds: Mapping[str, object]) -> dict[str, object]:
        self.told.append(holds)
        return self.document


def test_settings_of_the_mesh_are_kept_and_changes_told(tmp_path: Path) -> None:
    """Grants, roots and gateways outlive a restart; listeners hear of changes only."""
    heard: list[str] = []
    source = Source({"bundle": "A", "grants": [{"allow": ["*/*"], "uid": 7}], "gateways": {"default/edge": [80]}})
    known = MeshSettings(source, tmp_path / "settings.json")
    known.changed.append(lambda: heard.append("changed"))
    for _ in range(2):
        asyncio.run(known.refresh())
    assert heard == ["changed"]
    again = MeshSettings(source, tmp_path / "settings.json").current
    assert again == known.current
    assert again.gateways == {"default/edge": (80,)}
    assert again.grants[0].uid == 7


def test_a_grant_that_is_not_understood_gives_nothing() -> None:
    """Rubbish in the list of grants is no permission."""
    assert parse({"grants": [{}, {"allow": ["a/b"], "uid": "x"}, {"allow": ["a/b"], "uid": 1}]}).grants[0].uid == 1
    assert len(parse({"grants": [{}, {"allow": ["a/b"], "uid": "x"}]}).grants) == 0


def test_controls_that_serve_come_first(tmp_path: Path) -> None:
    """A machine remembers the controls it heard of; one that the mesh names no longer is tried last."""
    directory = prepared(tmp_path)
    identity = MachineIdentity(member(tmp_path), directory)
    assert identity.addresses() == ("127.0.0.1:1",)
    identity.hear_of(["127.0.0.1:1", "127.0.0.1:2"])
    assert identity.addresses() == ("127.0.0.1:1", "127.0.0.1:2")
    identity.hear_of(["127.0.0.1:2"])
    assert identity.addresses() == ("127.0.0.1:2", "127.0.0.1:1")
    kept = join.load(directory)
    assert kept is not None
    assert kept == identity.member
    assert MachineIdentity(kept, directory).addresses() == ("127.0.0.1:1", "127.0.0.1:2")
    identity.hear_of(["127.0.0.1:1", *(f"10.0.0.{number}:1" for number in range(20))])
    assert len(identity.addresses()) == 1 + join.MOST_OTHERS
