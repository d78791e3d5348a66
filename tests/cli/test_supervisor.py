"""The supervisor: keeps real processes running, and ends them in order."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.cli.supervisor import BackOff

HARNESS = """
import sys
from pathlib import Path
from plait.cli.supervisor import BackOff, Part, Supervisor
folder = Path(sys.argv[1])
env = {"PATH": "/usr/bin:/bin"}
parts = [Part(name=n, command=["sh", str(folder / (n + ".sh"))], environment=env) for n in sys.argv[2:]]
def ready(): return (folder / "ready").exists()
def on_ready(): (folder / "was-ready").touch()
def before_stop(number): (folder / "log").open("a").write(f"stopping {number}\\n")
ending = Supervisor(parts, ready, on_ready, before_stop, BackOff(first=0.02, most=0.1)).run()
(folder / "log").open("a").write(f"signal {ending.signal} code {ending.code}\\n")
"""

STAYS = """
trap 'echo {name} leaves >> {folder}/log; exit 0' TERM
echo {name} starts >> {folder}/log
while :; do sleep 0.02; done
"""


def eventually(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until, "it did not happen within 10 s"
        time.sleep(0.01)


class Supervised:
    """A supervisor in a process of its own, with shell scripts for parts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: subprocess.Popen[str] | None = None

    def script(self, name: str, text: str) -> None:
        (self.folder / f"{name}.sh").write_text(textwrap.dedent(text.format(name=name, folder=self.folder)))

    def start(self, *names: str) -> None:
        command = [sys.executable, "-c", HARNESS, str(self.folder), *names]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    def log(self) -> list[str]:
        file = self.folder / "log"
        return file.read_text().splitlines() if file.exists() else []

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def end(self) -> str:
        assert self.process is not None
        return self.process.communicate(timeout=15)[1]


@pytest.fixture
def supervised(tmp_path: Path) -> Iterator[Supervised]:
    """A supervisor that is killed with its parts when the test ends."""
    found = Supervised(tmp_path)
    yield found
    if found.process is not None and found.process.poll() is None:
        found.process.terminate()
        found.process.communicate(timeout=15)


def test_parts_leave_in_reverse_order(supervised: Supervised):
    """At SIGTERM what must happen first happens, then the parts leave, each before the one it depends on."""
    supervised.script("control", STAYS)
    supervised.script("node", STAYS)
    supervised.start("control", "node")
    eventually(lambda: {"control starts", "node starts"} <= set(supervised.log()))

    supervised.send(signal.SIGTERM)
    supervised.end()

    assert supervised.log()[2:] == ["stopping 15", "node leaves", "control leaves", "signal 15 code 0"]


def test_crashed_part_is_started_again(supervised: Supervised):
    """A part that crashes is started again, and it is said; the other one is left alone."""
    supervised.script("control", STAYS)
    supervised.script("node", "echo node starts >> {folder}/log; kill -9 $$")
    supervised.start("control", "node")
    eventually(lambda: supervised.log().count("node starts") >= 3)

    supervised.send(signal.SIGINT)
    messages = supervised.end()

    assert supervised.log().count("control starts") == 1
    assert "node ended (by SIGKILL); starting it again in 0.0 s" in messages


def test_hopeless_part_ends_the_attempt(supervised: Supervised):
    """Before the mesh was ready, a part that refuses to start ends everything with its exit code."""
    supervised.script("control", "exit 4")
    supervised.start("control")

    supervised.end()

    assert supervised.log() == ["signal 0 code 4"]


def test_after_ready_nothing_is_hopeless(supervised: Supervised):
    """Once the mesh was ready, a part is started again whatever its exit code was."""
    supervised.script(
        "control", "while [ ! -e {folder}/was-ready ]; do sleep 0.01; done\necho starts >> {folder}/log; exit 4"
    )
    (supervised.folder / "ready").touch()
    supervised.start("control")

    eventually(lambda: supervised.log().count("starts") >= 2)


def test_part_receives_signals(supervised: Supervised):
    """A part does not inherit the supervisor's blocked signals, and SIGUSR1 is passed on to it."""
    text = "trap 'echo heard >> {folder}/log' USR1; echo starts >> {folder}/log; while :; do sleep 0.02; done"
    supervised.script("control", text)
    supervised.start("control")
    eventually(lambda: supervised.log() == ["starts"])

    supervised.send(signal.SIGUSR1)

    eventually(lambda: supervised.log() == ["starts", "heard"])


def test_parts_are_not_in_the_terminals_group(supervised: Supervised):
    """A part has a session of its own, so that Ctrl-C reaches only the supervisor, which ends things in order."""
    supervised.script("control", "echo $$ >> {folder}/log; while :; do sleep 0.02; done")
    supervised.start("control")
    eventually(lambda: bool(supervised.log()))

    pid = int(supervised.log()[0])

    assert os.getsid(pid) == pid


@given(crashes=st.integers(0, 1000))
def test_delay_grows_and_is_bounded(crashes: int):
    """The delay never falls with more crashes and never exceeds its bound."""
    back_off = BackOff()

    assert 0 < back_off.delay(crashes) <= back_off.delay(crashes + 1) <= back_off.most


def test_long_life_is_forgiven():
    """A part that lived long starts its count of crashes anew."""
    back_off = BackOff()

    assert back_off.crashes(5, lived=1) == 6
    assert back_off.crashes(5, lived=31) == 1
