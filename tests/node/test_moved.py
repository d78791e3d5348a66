"""Following control to another address: what can be told without one."""

import asyncio
import dataclasses
from pathlib import Path

import pytest

from plait.node import join, moved, settings
from plait.node.join import Member
from tests.node.test_join import member, prepared


def follow(folder: Path, control: str, *, beside: bool = False) -> tuple[str, str]:
    """Where control is, for the agent and as it is kept, after a start with that `--control`."""
    directory, found = prepared(folder), member(folder)
    found = dataclasses.replace(found, membership=dataclasses.replace(found.membership, ads_address="192.0.2.1:7444"))
    join.keep(directory, found)
    if beside:
        (directory.root / "control").mkdir()
    given = settings.load({}, state_dir=directory.root, control=control)
    now: Member = asyncio.run(moved.followed(found, given, directory))
    kept = join.load(directory)
    assert kept is not None
    assert dataclasses.replace(now, membership=found.membership) == found
    return now.membership.ads_address, kept.membership.ads_address


@pytest.mark.parametrize(
    ("control", "address"),
    [
        ("", "192.0.2.1:7444"),
        ("192.0.2.1", "192.0.2.1:7444"),
        ("192.0.2.1:7443", "192.0.2.1:7444"),
        ("192.0.2.9", "192.0.2.9:7444"),
        ("[2001:db8::1]", "[2001:db8::1]:7444"),
    ],
)
def test_a_host_alone_keeps_the_port(tmp_path: Path, control: str, address: str) -> None:
    """Another host is taken over and kept; the same host, or none, changes nothing."""
    assert follow(tmp_path, control) == (address, address)


def test_while_nobody_answers_there_the_old_address_counts(tmp_path: Path) -> None:
    """An agent starts without control too, and asks again at its next start."""
    assert follow(tmp_path, "127.0.0.1:9") == ("192.0.2.1:7444", "192.0.2.1:7444")


def test_beside_control_nothing_is_followed(tmp_path: Path) -> None:
    """Control in the same state directory is found by its own file."""
    assert follow(tmp_path, "192.0.2.9", beside=True)[0] == "192.0.2.1:7444"
