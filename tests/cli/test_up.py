"""`plait up` and `plait down` with the real control plane and node agent."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from plait.cli import pids
from tests.cli.conftest import PLAIT, Outcome

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]


class Mesh:
    """A mesh of its own, run by `user` (a prefix of the command line)."""

    def __init__(self, folder: Path, user: list[str]) -> None:
        self.state = folder / "state"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PLAIT_")},
            "PLAIT_STATE_DIR": str(self.state),
            "HOME": str(folder),
        }
        self.user = user

    def plait(self, *words: str, **changes: str) -> Outcome:
        """Run a command; `changes` are variables of its environment."""
        done = subprocess.run(
            [*self.user, *PLAIT, *words],
            env={**self.environment, **changes},
            cwd=self.state.parent,
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    def pid(self, name: str) -> int:
        """The process id of a part."""
        return int((self.state / f"run/{name}.pid").read_text())


def eventually(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until, "it did not happen within 60 s"
        time.sleep(0.1)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user can reach (pytest closes its own to others)."""
    with tempfile.TemporaryDirectory(prefix="plait-test-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


def without_rights() -> list[str]:
    """What makes a command run as a user without rights who can reach this interpreter."""
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("becoming another user needs root and setpriv")
    become = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    interpreter = Path(sys.executable).resolve()
    if not interpreter.is_relative_to("/root"):
        return become
    # The interpreter is below root's home: show only its folder there, in a mount namespace of our own.
    shown = Path("/root") / interpreter.relative_to("/root").parts[0]
    script = (
        f"mount --bind {shown} /mnt && mount -t tmpfs -o mode=755 tmpfs /root && mkdir {shown}"
        f' && mount --bind /mnt {shown} && umount /mnt && exec {" ".join(become)} "$@"'
    )
    return ["unshare", "--mount", "sh", "-c", script, "sh"]


@pytest.fixture(params=["root", "nobody"])
def mesh(request: pytest.FixtureRequest, folder: Path) -> Iterator[Mesh]:
    """A mesh of root, and one of a user without rights, ended after the test."""
    if request.param == "root" and os.geteuid() != 0:
        pytest.skip("not root")
    found = Mesh(folder, without_rights() if request.param == "nobody" else [])
    if found.user:
        os.chown(folder, 65534, 65534)
    yield found
    found.plait("down")


def test_up_and_down(mesh: Mesh):
    """A mesh comes up, says what to try, restarts a killed part, is not started twice, and leaves nothing behind."""
    up = mesh.plait("up", "--detach")
    assert (up.code, up.err) == (0, "")
    assert up.out.startswith(f"Plait is up. State: {mesh.state}\n")
    assert "plait run --name hello" in up.out

    again = mesh.plait("up")
    assert again.code == 4
    assert f"a mesh already runs with its state in {mesh.state} (process {mesh.pid('up')})" in again.err

    status = json.loads(mesh.plait("status", "-o", "json").out)
    assert status["ready"]
    assert status["capture"]["mode"] == ("explicit" if mesh.user else "transparent")

    token = mesh.plait("token", "create", "--user", "ada").out.strip()
    remote = {"PLAIT_SERVER": status["api"]["url"], "PLAIT_CA_FILE": str(mesh.state / "run/ca.pem")}
    assert mesh.plait("get", "namespaces", **remote, PLAIT_TOKEN=token).code == 0
    assert mesh.plait("get", "namespaces", **remote, PLAIT_TOKEN="wrong").code == 4

    before = mesh.pid("control")
    os.kill(before, signal.SIGKILL)
    eventually(lambda: mesh.pid("control") != before and mesh.plait("status").code == 0)
    assert "control ended (by SIGKILL); starting it again" in (mesh.state / "run/up.log").read_text()

    running = [mesh.pid(name) for name in ("up", "control", "node")]
    down = mesh.plait("down")
    assert (down.code, down.out) == (0, "Plait is down.\n")
    assert [pid for pid in running if pids.is_plait(pid)] == []
    assert list((mesh.state / "run").glob("*.pid")) == []
    assert mesh.plait("status").code == 3


def test_foreground_ends_with_ctrl_c(mesh: Mesh):
    """In the foreground Ctrl-C ends everything in order, with exit code 0."""
    with subprocess.Popen(
        [*mesh.user, *PLAIT, "up"],
        env=mesh.environment,
        cwd=mesh.state.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == f"Plait is up. State: {mesh.state}\n"
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=60)
        finally:
            process.kill()

    assert (process.returncode, out.splitlines()[-1]) == (0, "Plait is down.")


def test_control_that_cannot_start(mesh: Mesh):
    """What control complains of ends `plait up` with its message and exit code, in both forms."""
    (mesh.state / "control").mkdir(parents=True)
    (mesh.state / "version").write_text("99\n")
    if mesh.user:
        subprocess.run(["chown", "-R", "65534:65534", str(mesh.state)], check=True)

    for words in (["up"], ["up", "--detach"]):
        outcome = mesh.plait(*words)

        assert outcome.code == 4
        assert "has format 99" in outcome.err


def test_supervisor_killed(mesh: Mesh):
    """A killed supervisor leaves a mesh that works; `plait down` ends it, and so does the next `plait up`."""
    assert mesh.plait("up", "--detach").code == 0
    os.kill(mesh.pid("up"), signal.SIGKILL)
    assert mesh.plait("status").code == 0
    orphan = mesh.pid("control")

    up = mesh.plait("up", "--detach")
    assert up.code == 0
    assert mesh.pid("control") != orphan
    os.kill(mesh.pid("up"), signal.SIGKILL)

    assert mesh.plait("down").out == "Plait is down.\n"
    assert mesh.plait("status").code == 3


def test_strangers_are_told(folder: Path):
    """Who may not use a mesh is told so in a sentence, whatever command it was."""
    owner, stranger = Mesh(folder, []), Mesh(folder, without_rights())
    assert owner.plait("up", "--detach").code == 0
    try:
        for words, code in ((["status"], 4), (["down"], 4), (["run", "--", "true"], 125), (["up"], 4)):
            outcome = stranger.plait(*words)
            assert (outcome.code, words) == (code, words)
            assert outcome.err.startswith("error: ")
    finally:
        owner.plait("down")
