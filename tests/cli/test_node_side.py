"""run, exec, start, stop and gateway: what the node agent is asked, and how its answers end the command."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Plait
from tests.cli.fake_agent import FakeAgent

EXITED = {"event": "exited", "code": 7}


@pytest.fixture
def agent(state_dir: Path) -> Iterator[FakeAgent]:
    """A node agent at the state directory's socket; what it runs ends with 7."""
    found = FakeAgent(state_dir / "run/node.sock", [EXITED])
    found.start()
    yield found
    found.stop()


def test_run_hands_over_everything(plait: Plait, agent: FakeAgent, tmp_path: Path):
    """`plait run` asks for what its flags say, with environment and folder, and passes the exit code on."""
    outcome = plait(
        "run", "--name", "web", "-n", "shop", "--service", "web:80", "--service", "api", "--labels",
        "app=web,tier=front",
        "--service-account", "web", "--port", "main:8080/http", "--port", "9090", "--probe", "http:/healthz",
        "--publish", "8080", "--host-port", "5432", "--locality", "eu/eu-1", "--user", "nobody",
        "--capture", "explicit", "--", "tool", "--name", "x", "--", "y",
        COLOUR="blue",
    )  # fmt: skip

    spec = agent.asked[0]["spec"]
    assert outcome.code == 7
    assert spec.pop("env")["COLOUR"] == "blue"
    assert spec == {
        "name": "web",
        "namespace": "shop",
        "services": ["web:80", "api"],
        "labels": {"app": "web", "tier": "front"},
        "serviceAccount": "web",
        "ports": ["main:8080/http", "9090"],
        "probe": "http:/healthz",
        "publish": ["8080"],
        "hostPorts": [5432],
        "locality": "eu/eu-1",
        "user": "nobody",
        "capture": "explicit",
        "command": ["tool", "--name", "x", "--", "y"],
        "workingDirectory": str(tmp_path),
    }


def test_run_without_a_name(plait: Plait, agent: FakeAgent):
    """A workload without a name gets one from its service or its command."""
    plait("run", "--service", "web:80", "--", "/usr/bin/Some_Tool")
    plait("run", "--", "/usr/bin/Some_Tool")

    names = [request["spec"]["name"] for request in agent.asked]
    assert names[0].startswith("web-")
    assert names[1].startswith("some-tool-")


def test_ready_file(plait: Plait, agent: FakeAgent, tmp_path: Path):
    """--ready-file is written once the workload is ready."""
    agent.answers = [{"event": "ready", "name": "web", "namespace": "default", "address": "10.7.1.2"}, EXITED]

    plait("run", "--name", "web", "--ready-file", "ready.json", "--", "tool")

    assert json.loads((tmp_path / "ready.json").read_text())["address"] == "10.7.1.2"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["run"], "no command to run"),
        (["run", "--name", "web", "--"], "no command to run"),
        (["run", "tool"], "no command to run"),
        (["run", "--nam", "web", "--", "tool"], "unrecognized arguments: --nam web"),
        (["run", "--name", "Web", "--port", "x", "--", "tool"], "--name: 'Web' is no name; --port: 'x' is no port"),
        (["run", "--labels", "app", "--", "tool"], "--labels: 'app' is no label"),
        (["exec", "--", "tool"], "the following arguments are required: WORKLOAD"),
        (["start"], "the following arguments are required: -f/--file"),
    ],
)
def test_own_failures_are_125(plait: Plait, agent: FakeAgent, *, words: list[str], problem: str):
    """What run, exec and start cannot do ends with 125, which no command of the user's is confused with."""
    outcome = plait(*words)

    assert (outcome.code, agent.asked) == (125, [])
    assert outcome.err.startswith(f"error: {problem}")


@pytest.mark.parametrize("words", [["run", "--", "tool"], ["exec", "web", "--", "tool"]])
def test_no_agent(plait: Plait, *, words: list[str]):
    """Without a node agent the hint says how to start one."""
    outcome = plait(*words)

    assert outcome.code == 125
    assert "no node agent answers" in outcome.err
    assert "plait up" in outcome.err


@pytest.mark.parametrize("code", [125, 126, 127])
def test_command_cannot_be_run(plait: Plait, agent: FakeAgent, code: int):
    """126 and 127 say that a command cannot be executed or does not exist, as `env` does."""
    agent.answers = [{"event": "failed", "code": code, "problem": "command not found: tool", "remedy": "check it"}]

    outcome = plait("run", "--", "tool")

    assert outcome.code == code
    assert "command not found: tool" in outcome.err


def test_exec(plait: Plait, agent: FakeAgent, tmp_path: Path):
    """`plait exec` asks for another command beside a workload's app."""
    assert plait("exec", "web", "-n", "shop", "--", "curl", "-n", "x").code == 7

    request = agent.asked[0]
    assert (request["do"], request["namespace"], request["name"]) == ("exec", "shop", "web")
    assert request["command"] == ["curl", "-n", "x"]
    assert request["workingDirectory"] == str(tmp_path)


def test_start(plait: Plait, agent: FakeAgent, tmp_path: Path):
    """`plait start` asks for all workloads of a file at once; their `env` comes on top of the caller's."""
    (tmp_path / "w.yaml").write_text(
        "workloads:\n- {name: a, command: [x], env: {COLOUR: red}}\n- {name: b, command: [y]}\n"
    )

    assert plait("start", "-f", "w.yaml", COLOUR="blue").code == 7

    specs = agent.asked[0]["specs"]
    assert [(spec["name"], spec["env"]["COLOUR"]) for spec in specs] == [("a", "red"), ("b", "blue")]


def test_start_with_mistakes(plait: Plait, agent: FakeAgent, tmp_path: Path):
    """A workloads file with mistakes starts nothing and tells every one."""
    (tmp_path / "w.yaml").write_text("workloads:\n- {name: A, command: [x]}\n- {name: b}\n")

    outcome = plait("start", "-f", "w.yaml")

    assert (outcome.code, agent.asked) == (125, [])
    assert [line.partition(": ")[0] for line in outcome.err.splitlines()] == [
        "w.yaml:2",
        "w.yaml:3",
        "2 mistakes found; nothing was started",
    ]


def test_stop(plait: Plait, agent: FakeAgent):
    """`plait stop` says what ended, and is content when nothing runs."""
    agent.answers = [{"event": "stopped", "names": ["web", "db"]}]
    assert plait("stop", "web", "db").out == "web stopped\ndb stopped\n"

    agent.answers = [{"event": "stopped", "names": []}]
    outcome = plait("stop", "-n", "shop")
    assert (outcome.code, outcome.out) == (0, "No workload runs here in the namespace shop.\n")


def test_stop_is_refused(plait: Plait, agent: FakeAgent):
    """A refusal of the agent ends `plait stop` with the ordinary code for refusals."""
    agent.answers = [{"event": "failed", "error": "NotFoundError", "problem": "no workload x", "remedy": "look"}]

    outcome = plait("stop", "x")

    assert (outcome.code, outcome.err) == (4, "error: no workload x\n  hint: look\n")
    assert plait("stop", "--all").code == 2


def test_gateway(plait: Plait, agent: FakeAgent):
    """`plait gateway` asks for the proxy of a Gateway."""
    agent.answers = [{"event": "ready"}, {"event": "exited", "code": 0}]

    assert plait("gateway", "edge", "-n", "shop").code == 0
    assert agent.asked[0]["do"] == "gateway"
    assert agent.asked[0]["spec"]["gateway"] == "edge"
