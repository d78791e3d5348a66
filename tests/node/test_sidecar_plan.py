"""What an Envoy is started with, and when one that runs is another than would be started now."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

from plait.envoy import bootstrap
from plait.node.sidecar import SidecarPlan
from plait.node.state import WorkloadDirectory


def plan(tmp_path: Path) -> SidecarPlan:
    """The plan of a sidecar with all defaults; its binary is a file."""
    (tmp_path / "envoy").write_bytes(b"binary")
    return SidecarPlan(proxy="default/web", directory=WorkloadDirectory(tmp_path), envoy=tmp_path / "envoy")


def test_the_drain_time_is_an_argument_and_tells_envoys_apart(tmp_path: Path):
    """An Envoy with another drain time is not current."""
    usual = plan(tmp_path)
    longer = replace(usual, drain_seconds=7)
    command = longer.launch_document()["command"]
    assert command[command.index("--drain-time-s") + 1] == "7"
    assert longer.build() != usual.build()


def test_the_usual_drain_time_leaves_running_envoys_current(tmp_path: Path):
    """An Envoy that was started before the drain time could be set is what would be started now."""
    usual = plan(tmp_path)
    found = usual.envoy.stat()
    words = (found.st_size, found.st_mtime_ns, *bootstrap.arguments(inline=json.dumps(usual.bootstrap())))
    assert usual.build() == hashlib.sha256(repr(words).encode()).hexdigest()[:16]
    assert words[words.index("--drain-time-s") + 1] == "1"


def test_generations_are_not_told_apart(tmp_path: Path):
    """An Envoy that took over from another one is the same that would be started now."""
    usual = plan(tmp_path)
    assert replace(usual, generation=3).build() == usual.build()
