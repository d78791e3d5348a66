"""plait proxy upgrade: which proxies the node agent is asked to replace, and what is said of each."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Plait
from tests.cli.fake_agent import FakeAgent


def workload(name: str, namespace: str = "default", *, phase: str = "Running") -> dict[str, Any]:
    """A workload as the agent lists it."""
    return {"name": name, "namespace": namespace, "phase": phase, "proxyCurrent": False}


@pytest.fixture
def agent(state_dir: Path) -> Iterator[FakeAgent]:
    """A node agent with four workloads, which replaces every proxy."""
    running = [workload("web"), workload("api", "shop"), workload("new", phase="Warming"), workload("db", "shop")]
    found = FakeAgent(state_dir / "run/node.sock", [{"event": "answer", "workloads": running, "changed": True}])
    found.start()
    yield found
    found.stop()


def upgraded(agent: FakeAgent) -> list[str]:
    """The proxies that were asked for."""
    return [f"{item['namespace']}/{item['name']}" for item in agent.asked if item["do"] == "upgrade"]


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ((), ["default/web", "shop/api", "shop/db"]),
        (("-n", "shop"), ["shop/api", "shop/db"]),
        (("web",), ["default/web"]),
        (("db", "api", "-n", "shop"), ["shop/db", "shop/api"]),
    ],
)
def test_one_after_the_other(plait: Plait, agent: FakeAgent, words: tuple[str, ...], asked: list[str]):
    """All that run, those of a namespace, or those named, in that order."""
    outcome = plait("proxy", "upgrade", *words)

    assert outcome.code == 0
    assert upgraded(agent) == asked
    assert outcome.out == "".join(f"{name} upgraded\n" for name in asked)


def test_a_name_that_does_not_run_here(plait: Plait, agent: FakeAgent):
    """Nothing is replaced when one of the names is wrong."""
    outcome = plait("proxy", "upgrade", "web", "wbe")

    assert outcome.code != 0
    assert "no workload default/wbe runs on this machine" in outcome.err
    assert upgraded(agent) == []
