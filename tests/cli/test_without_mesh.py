"""What works, or fails as documented, without any mesh: help, usage, validation, unreachable meshes."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from plait.cli.app import COMMANDS, GROUPS, QUICK_SUMMARIES
from plait.cli.main import QUICK
from tests.cli.conftest import Plait

ALL = sorted({*COMMANDS, *GROUPS, *QUICK_SUMMARIES})
WRONG = """\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: web
spec:
  parentRef: []
  rules:
  - backendRefs:
    - {name: web, port: "80"}
---
kind: Service
"""


def test_help_lists_every_command(plait: Plait):
    """`plait` alone and `plait --help` list all commands."""
    outcome = plait("--help")

    listed = [line.split()[0] for line in outcome.out.partition("Commands:")[2].splitlines() if line.startswith("  ")]
    assert (outcome.code, set(ALL) - set(listed)) == (0, set())
    assert plait().out == outcome.out
    assert set(QUICK) == set(QUICK_SUMMARIES)


@pytest.mark.parametrize("command", ALL)
def test_each_command_has_help(plait: Plait, command: str):
    """`plait COMMAND --help` explains the command and how to choose the mesh."""
    outcome = plait(command, "--help")

    assert outcome.code == 0
    assert f"plait {command}" in outcome.out
    assert "--state-dir" in outcome.out


def test_version(plait: Plait):
    """`plait --version` prints the version."""
    assert plait("--version").out.startswith("plait ")


@pytest.mark.parametrize(
    ("words", "problem", "hint"),
    [
        (["statusx"], "No such command 'statusx'. Did you mean 'status'", "plait --help"),
        (["get"], "Missing argument 'KIND'", "plait get --help"),
        (["get", "svc", "-o", "xml"], "Invalid value for", "plait get --help"),
        (["proxy"], "Missing command", "plait proxy --help"),
        (["apply"], "Missing option '-f'", "plait apply --help"),
        (["apply", "-f", "x.yaml", "--wait=soon"], "'soon' is no duration", "write 500ms"),
        (["delete"], "say what to delete", "plait delete KIND NAME"),
        (["delete", "svc"], "no svc named", "plait delete KIND NAME"),
        (["up", "--ca-cert", "x"], "--ca-cert and --ca-key belong together", "give both"),
        (["control", "--ca-key", "x"], "--ca-cert and --ca-key belong together", "give both"),
        (["up", "now"], "unrecognized arguments: now", "plait up --help"),
        (["node", "--control", "192.0.2.1"], "to join a mesh on another machine a token is needed", "token create"),
        (["status", "--state-dir"], "--state-dir needs a value", "--state-dir VALUE"),
    ],
)
def test_usage(plait: Plait, *, words: list[str], problem: str, hint: str):
    """A wrong command line ends with 2, one line that says what is wrong and one that says how to mend it."""
    outcome = plait(*words)

    assert (outcome.code, outcome.out) == (2, "")
    first, second = outcome.err.splitlines()[:2]
    assert first.startswith(f"error: {problem}")
    assert second.startswith("  hint: ")
    assert hint in second


@pytest.mark.parametrize(
    "words",
    [["status"], ["get", "svc"], ["get", "workloads"], ["top"], ["proxy", "list"], ["token", "create", "--user", "a"],
     ["why", "--from", "a", "http://b/"], ["grant", "list"], ["delete", "svc", "a"]],
)  # fmt: skip
def test_no_mesh(plait: Plait, *, words: list[str]):
    """Without a mesh every command that needs one ends with 3 and says how to start or choose one."""
    outcome = plait(*words)

    assert (outcome.code, outcome.out) == (3, "")
    assert outcome.err.splitlines()[0].startswith("error: no mesh runs with its state in")
    assert "plait up" in outcome.err.splitlines()[1]


def test_dead_mesh(plait: Plait, state_dir: Path):
    """A socket that nobody serves any more is an unreachable mesh."""
    (state_dir / "run").mkdir(parents=True)
    path = state_dir / "run/api.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    (state_dir / "run/endpoints.json").write_text(f'{{"socket": "{path}"}}')

    outcome = plait("status")

    assert outcome.code == 3
    assert outcome.err.startswith("error: no mesh answers at unix://")


def test_server_that_does_not_answer(plait: Plait):
    """A server named by flag that does not answer is unreachable too."""
    outcome = plait("--server", "https://127.0.0.1:9", "status", PLAIT_TOKEN="x")

    assert outcome.code == 3
    assert "https://127.0.0.1:9" in outcome.err


def test_telemetry_is_honest(plait: Plait):
    """`plait telemetry` says that it is not there yet, and what is."""
    outcome = plait("telemetry")

    assert outcome.code == 4
    assert "later" in outcome.err
    assert "plait top" in outcome.err


def test_validate_tells_all_mistakes(plait: Plait, tmp_path: Path):
    """`plait validate` needs no mesh and tells every mistake with file and line."""
    (tmp_path / "wrong.yaml").write_text(WRONG)

    outcome = plait("validate", "-f", "wrong.yaml")

    places = [line.split(": ")[0] for line in outcome.err.splitlines() if line.startswith("wrong.yaml")]
    assert (outcome.code, outcome.out) == (1, "")
    assert {"wrong.yaml:6", "wrong.yaml:9", "wrong.yaml:11"} <= set(places)
    assert "did you mean" in outcome.err
    assert f"error: {len(places)} mistakes in 2 objects" in outcome.err


def test_validate_json(plait: Plait, tmp_path: Path):
    """`-o json` lists the mistakes for programs."""
    (tmp_path / "wrong.yaml").write_text(WRONG)

    outcome = plait("validate", "-o", "json", "wrong.yaml", "-f", "wrong.yaml")

    assert outcome.code == 1
    assert '"line": 6' in outcome.out


def test_validate_good_folder(plait: Plait, tmp_path: Path):
    """A folder without mistakes is counted."""
    folder = tmp_path / "mesh"
    folder.mkdir()
    (folder / "a.yaml").write_text("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n")

    outcome = plait("validate", "-f", "mesh")

    assert (outcome.code, outcome.out) == (0, "1 object, no mistakes.\n")


@pytest.mark.parametrize(
    ("text", "problem"),
    [(None, "no such file"), ("a: [", "x.yaml:2: YAML syntax error"), ("", "there is nothing in these files")],
)
def test_files_that_cannot_be_applied(plait: Plait, tmp_path: Path, *, text: str | None, problem: str):
    """Missing, broken and empty files are told before any mesh is asked."""
    if text is not None:
        (tmp_path / "x.yaml").write_text(text)

    outcome = plait("apply", "-f", "x.yaml")

    assert outcome.code in (1, 2)
    assert problem in outcome.err


def test_state_directory_that_cannot_be_made(plait: Plait, tmp_path: Path):
    """A state directory below a file is refused, with what to do."""
    (tmp_path / "file").touch()

    outcome = plait("--state-dir", str(tmp_path / "file/state"), "up")

    assert outcome.code == 4
    assert "choose another one with --state-dir" in outcome.err


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
def test_state_directory_of_somebody_else(environment: dict[str, str]):
    """A state directory that the user may not write to is refused, with what to do."""
    setpriv = shutil.which("setpriv")
    assert setpriv
    command = [setpriv, "--reuid", "65534", "--clear-groups", sys.executable, "-m", "plait.cli", "up"]
    done = subprocess.run(
        command, env={**environment, "PLAIT_STATE_DIR": "/root/absent"}, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr.splitlines()[0]) == (4, "error: you may not write to /root/absent")


def test_down_without_a_mesh(plait: Plait, state_dir: Path):
    """`plait down` without a mesh says so and is content."""
    outcome = plait("down")

    assert (outcome.code, outcome.out) == (0, f"No mesh runs with its state in {state_dir}.\n")


@pytest.mark.parametrize("words", ["--help", "validate -o json -f wrong.yaml"])
def test_broken_pipe(environment: dict[str, str], tmp_path: Path, words: str):
    """A reader that goes away early ends the command quietly."""
    (tmp_path / "wrong.yaml").write_text(WRONG * 500)
    script = f"{sys.executable} -m plait.cli {words} | true; exit ${{PIPESTATUS[0]}}"

    done = subprocess.run(
        ["bash", "-c", script], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_errors_of_plait_itself(plait: Plait, state_dir: Path):
    """A failure that nobody foresaw prints no trace either, unless asked for."""
    (state_dir / "node/workloads/default_web/proxy/envoy.log").mkdir(parents=True)

    outcome = plait("proxy", "logs", "web")

    assert outcome.code == 1
    assert outcome.err.startswith("error: plait itself failed: IsADirectoryError")
    assert "PLAIT_DEBUG=1" in outcome.err
