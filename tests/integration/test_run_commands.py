"""`plait run`, `exec`, `stop` and `start` as a user has them: codes, streams, signals, users, refusals."""

import json
import os
import pty
import shlex
import signal
import socket
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from plait.node import wire
from tests.integration.machines import PLAIT, Machine, mesh, needs_root, server, until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120), needs_root]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Generator[Machine]:
    with mesh(tmp_path_factory.mktemp("m")) as started:
        yield started


@pytest.mark.parametrize(
    ("command", "code"), [(("sh", "-c", "exit 7"), 7), (("no-such-command",), 127), (("/etc/hosts",), 126)]
)
def test_exit_codes_are_those_of_env(machine: Machine, command: tuple[str, ...], code: int) -> None:
    """The command's own code is passed on; 127 and 126 say that it could not be run."""
    machine.plait("run", "--name", "codes", "--", *command, code=code)


def test_streams_directory_and_environment_are_the_callers(machine: Machine, tmp_path: Path) -> None:
    """The app reads what is piped in, prints where the caller prints, in its directory, with its environment."""
    machine.environment["GREETING"] = "hello"
    answer = machine.plait("run", "--name", "streams", "--", "sh", "-c", "cat; pwd; echo $GREETING; umask", text="in\n")
    assert answer.splitlines()[:3] == ["in", str(Path.cwd()), "hello"]


def test_a_name_can_be_used_again_at_once(machine: Machine) -> None:
    """A second run under the name of one that has just ended waits until its place is gone."""
    for code in (3, 4):
        machine.plait("run", "--name", "again", "--", "sh", "-c", f"exit {code}", code=code)


def test_a_name_runs_once(machine: Machine) -> None:
    """A second workload of the same name is refused in a sentence, and the first one runs on."""
    with machine.running("run", "--name", "single", "--", "sleep", "60"):
        until(lambda: machine.workloads().get("single", {}).get("phase") == "Running")
        said = machine.plait("run", "--name", "single", "--", "true", code=125)
        assert "default/single runs on this machine already" in said
        assert "plait stop single" in said
        assert machine.workload("single")["phase"] == "Running"


@pytest.mark.parametrize(("words", "sentence"), [
    (("-n", "nowhere", "--name", "x"), "namespace nowhere does not exist"),
    (("--name", "x", "--user", "nobody-knows"), "there is no user nobody-knows"),
    (("--name", "x", "--probe", "http:/"), "needs a port"),
])  # fmt: skip
def test_refusals_are_sentences(machine: Machine, words: tuple[str, ...], sentence: str) -> None:
    """What cannot be run is refused with 125, and nothing of it is left."""
    said = machine.plait("run", *words, "--", "true", code=125)
    assert sentence in said
    assert "Traceback" not in said
    assert "x" not in machine.workloads()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGUSR1, 138)])
def test_signals_are_forwarded(machine: Machine, number: int, code: int) -> None:
    """A signal to the client reaches the app, and how the app ended is passed on."""
    name = f"signal-{number}"
    with machine.running("run", "--name", name, "--", "sh", "-c", "echo up; exec sleep 60") as client:
        assert client.stdout is not None
        assert client.stdout.readline() == "up\n"
        client.send_signal(number)
        assert client.wait(20) == code


def test_a_killed_client_leaves_nothing(machine: Machine) -> None:
    """When the client is killed, its workload is ended in order."""
    with machine.running("run", "--name", "orphan", "--", "sleep", "60") as client:
        until(lambda: machine.workloads().get("orphan", {}).get("phase") == "Running")
        netns = Path(machine.workload("orphan")["netns"])
        client.kill()
        until(lambda: "orphan" not in machine.workloads() and not netns.exists())


def test_app_has_no_privilege(machine: Machine) -> None:
    """The app keeps its user, has no capability, and sees neither keys nor the rules that catch its traffic."""
    script = f"id -u; grep Cap /proc/self/status; ls {machine.state}/node | wc -l; nft list ruleset 2>&1 || true"
    lines = machine.plait("run", "--name", "bare", "--", "sh", "-c", script).splitlines()
    assert lines[0] == "0"
    assert {line.split()[1] for line in lines[1:6]} == {"0" * 16}
    assert lines[6].strip() == "0"
    assert "permitted" in lines[7]


def test_root_chooses_another_user(machine: Machine) -> None:
    """With --user the app has that user's ids; ports below 1024 are its own to use all the same."""
    script = "import os, socket; socket.socket().bind(('', 80)); print(os.getuid(), os.getgid())"
    answer = machine.plait("run", "--name", "other", "--user", "nobody", "--", "/usr/bin/python3", "-c", script)
    assert answer.split() == ["65534", "65534"]


def test_exec_runs_beside_the_app(machine: Machine) -> None:
    """`plait exec` runs in the workload's namespace and passes its code; it ends with the workload."""
    machine.plait("run", "--name", "host", "--detach", "--", "sleep", "60")
    address = machine.workload("host")["address"]
    assert address in machine.plait("exec", "host", "--", "hostname", "-I")
    machine.plait("exec", "host", "--", "sh", "-c", "exit 9", code=9)
    with machine.running("exec", "host", "--", "sleep", "60") as beside:
        time.sleep(0.5)
        assert machine.plait("stop", "host") == "host stopped\n"
        assert beside.wait(20) in (143, 137)


def test_ready_file_is_written_when_the_app_answers(machine: Machine, tmp_path: Path) -> None:
    """--ready-file appears only once the endpoint is published."""
    ready = tmp_path / "ready"
    late = ("sh", "-c", f"sleep 2; exec {shlex.join(server(8000, 'late'))}")
    with machine.running("run", "--name", "late", "--port", "8000/http", "--ready-file", str(ready), "--", *late):
        until(lambda: machine.workloads().get("late", {}).get("phase") == "Running")
        assert not ready.exists()
        assert not machine.workload("late")["ready"]
        until(ready.exists)
        assert json.loads(ready.read_text())["name"] == "late"
        assert machine.workload("late")["ready"]


def test_start_runs_many_under_one_client(machine: Machine, tmp_path: Path) -> None:
    """Ten workloads of a file start with one command, and end with it; the first code that is not 0 is passed on."""
    entries = [f"- name: many-{number}\n  command: [sh, -c, 'sleep 60; exit 0']" for number in range(10)]
    file = tmp_path / "workloads.yaml"
    file.write_text("workloads:\n" + "\n".join(entries) + "\n")
    with machine.running("start", "-f", str(file)) as client:

        def running() -> bool:
            found = machine.workloads()
            return sum(item["phase"] == "Running" for name, item in found.items() if name.startswith("many-")) == 10

        until(running, within=60)
        client.terminate()
        assert client.wait(60) == 143
    until(lambda: not any(name.startswith("many-") for name in machine.workloads()))


def test_one_that_ends_does_not_end_the_others(machine: Machine, tmp_path: Path) -> None:
    """The client of many stays until the last has ended, and passes on the first code that is not 0."""
    file = tmp_path / "workloads.yaml"
    file.write_text("workloads:\n- {name: short, command: [sh, -c, exit 3]}\n- {name: long, command: [sleep, '60']}\n")
    with machine.running("start", "-f", str(file)) as client:
        until(lambda: "short" not in machine.workloads() and "long" in machine.workloads())
        time.sleep(0.5)
        assert client.poll() is None
        assert machine.workload("long")["phase"] == "Running"
        client.terminate()
        assert client.wait(30) == 3


def test_a_second_signal_does_not_wait(machine: Machine) -> None:
    """An app that ignores the first SIGINT gets the second one at once, and is not killed for living on."""
    script = "n=0; trap 'n=$((n+1)); echo got $n; [ $n = 2 ] && exit 4' INT; echo up; while :; do sleep 0.05; done"
    with machine.running("run", "--name", "stubborn", "--", "sh", "-c", script) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == "up\n"
        client.send_signal(signal.SIGINT)
        assert client.stdout.readline() == "got 1\n"
        client.send_signal(signal.SIGINT)
        assert client.stdout.readline() == "got 2\n"
        assert client.wait(20) == 4


def test_detached_ones_that_end_at_once_pass_their_code(machine: Machine) -> None:
    """--detach waits until the app is ready or has ended, and what it printed is kept."""
    machine.plait("run", "--name", "brief", "--detach", "--", "sh", "-c", "echo said; exit 6", code=6)
    assert (machine.state / "node/workloads/default_brief/app.log").read_text() == "said\n"


@pytest.mark.parametrize(
    "rubbish",
    [b"GET / HTTP/1.1\r\n\r\n", b"[]\n", b'{"do": "fly"}\n', b'{"do": "run"}\n', b'{"do": "run", "spec": 7}\n', b""],
)
def test_rubbish_ends_nothing_but_its_connection(machine: Machine, rubbish: bytes) -> None:
    """Whatever comes over the agent's socket, it answers in a sentence and serves on."""
    with wire.connect(machine.state / "run" / "node.sock", timeout=5) as channel:
        channel.sendall(rubbish)
        channel.shutdown(socket.SHUT_WR)
        answer = channel.makefile().read()
    assert not rubbish or json.loads(answer)["event"] == "failed"
    machine.plait("run", "--name", "after", "--", "true")


def test_a_terminal_is_given_to_what_is_interactive(machine: Machine) -> None:
    """On a terminal, an app that serves nothing gets one of its own: job control, /dev/tty and its size."""
    pid, master = pty.fork()
    if pid == 0:
        command = [*PLAIT, "run", "--name", "tty", "--", "bash", "-c", "set -m; true >/dev/tty && tty && exit 6"]
        os.execve(command[0], command, machine.env)
    heard = b""
    try:
        while True:
            heard += os.read(master, 4096)
    except OSError:
        pass
    _pid, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 6, heard
    assert b"/dev/pts/" in heard
