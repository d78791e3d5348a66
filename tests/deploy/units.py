"""Unit files as a test reads them, and a service manager that is just enough to run one."""

import contextlib
import os
import re
import shlex
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.docs.pages import ROOT

UNITS: Final = ROOT / "deploy" / "systemd"
PROGRAM: Final = "/opt/plait/bin/plait"
STATE: Final = "/var/lib/plait"


def settings(name: str) -> dict[str, list[str]]:
    """The settings of a unit, each with its values in order."""
    found: dict[str, list[str]] = {}
    for line in (UNITS / name).read_text(encoding="utf-8").splitlines():
        if match := re.fullmatch(r"([A-Za-z]+)=(.*)", line):
            found.setdefault(match[1], []).append(match[2])
    return found


def commands(name: str) -> list[list[str]]:
    """The words of every command line of a unit."""
    return [shlex.split(value) for key, values in settings(name).items() if key.startswith("Exec") for value in values]


@dataclass(slots=True, kw_only=True)
class Service:
    """A unit's main process, started as systemd starts it, with a socket for what it has to say."""

    unit: str
    program: Sequence[str]
    state: Path
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    process: "subprocess.Popen[bytes] | None" = None

    def start(self, *, within: float = 40.0) -> None:
        """Start it and wait until it says that it is ready."""
        place = self.state.parent / f"{self.unit}.notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, self._log().open("ab") as log:
            manager.bind(str(place))
            place.chmod(0o777)
            manager.settimeout(within)
            self.process = subprocess.Popen(
                self._words(),
                env={**os.environ, **self.environment, "NOTIFY_SOCKET": str(place)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            try:
                assert manager.recv(100) == b"READY=1", self.log()
            except TimeoutError:
                raise AssertionError(f"{self.unit} did not become ready: {self.log()}") from None
            finally:
                place.unlink()

    def stop(self) -> None:
        """End it as `KillMode=process` does: a signal to the main process and to nothing else."""
        assert settings(self.unit).get("KillMode", ["process"]) == ["process"]
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGTERM)
            self.process.wait(20)

    def log(self) -> str:
        """What it printed."""
        return self._log().read_text(encoding="utf-8")

    def _log(self) -> Path:
        return self.state.parent / f"{self.unit}.log"

    def _words(self) -> list[str]:
        (line,) = settings(self.unit)["ExecStart"]
        words: list[Any] = []
        for word in shlex.split(line):
            words += self.program if word == PROGRAM else [word.replace(STATE, str(self.state))]
        return words
