"""Which identities a process may have."""

import os
import socket
import sys
from pathlib import Path

import pytest

from plait.errors import ForbiddenError
from plait.identity.attestation import Grant, PeerProcess, attest, peer_process, permitted

SHOP = PeerProcess(pid=1, uid=1000, gid=1000, executable="/usr/bin/shop", cgroup="/system.slice/shop.service")


def test_the_kernel_tells_who_connected() -> None:
    """Both ends of a socket pair are this process."""
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        peer = peer_process(ours)
    assert (peer.pid, peer.uid, peer.gid) == (os.getpid(), os.getuid(), os.getgid())
    assert Path(peer.executable) == Path(sys.executable).resolve()


def test_nothing_is_claimed_of_a_process_that_is_gone(tmp_path: Path) -> None:
    """Without /proc only what the socket says is known."""
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        peer = peer_process(ours, proc=tmp_path)
    assert (peer.executable, peer.cgroup) == ("", "")


@pytest.mark.parametrize(
    "grant",
    [
        Grant(allow=("default/shop",), uid=1000),
        Grant(allow=("*/shop",), executable="/usr/bin/shop"),
        Grant(allow=("default/*",), cgroup="/system.slice/"),
        Grant(allow=("other/x", "default/shop"), uid=1000, executable="/usr/bin/shop", cgroup=SHOP.cgroup),
    ],
)
def test_a_grant_whose_conditions_all_hold_allows(grant: Grant) -> None:
    """User, executable and control group, alone or together."""
    attest(SHOP, [grant], "default", "shop")


@pytest.mark.parametrize(
    "grant",
    [
        Grant(allow=("default/shop",)),
        Grant(allow=("default/other",), uid=1000),
        Grant(allow=("default/shop",), uid=0),
        Grant(allow=("default/shop",), uid=1000, executable="/usr/bin/other"),
        Grant(allow=("default/shop",), cgroup="/system.slice/shop"),
        Grant(allow=("default",), uid=1000),
    ],
)
def test_any_other_grant_does_not(grant: Grant) -> None:
    """A condition that fails, an identity not listed, or a grant without any condition."""
    with pytest.raises(ForbiddenError, match="may not run as default/shop"):
        attest(SHOP, [grant], "default", "shop")


def test_lists_of_identities_take_stars() -> None:
    """`*` stands for every namespace or every account."""
    assert permitted(["*/*"], "a", "b")
    assert not permitted(["a/*"], "b", "b")
    assert not permitted([], "a", "b")
