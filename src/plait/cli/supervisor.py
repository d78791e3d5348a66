"""The supervisor behind `plait up`: keeps the parts of a mesh running.

It is one loop around `sigtimedwait`, so there are no handlers and no threads: a child that ends, a signal to this
process and the passing of time all arrive in the same place. A part that crashes is started again after a delay that
doubles up to ten seconds and starts anew once the part has lived for half a minute. A part that ends with a message to
the user before the mesh was ever ready would only say the same again, so that ends the attempt. At the end the parts
are asked to leave in reverse order, each before the one it depends on.
"""

import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from plait.cli.output import note

ENDING = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2})
FORWARDED = frozenset({signal.SIGUSR1})
WATCHED = ENDING | FORWARDED | {signal.SIGCHLD}
HOPELESS = frozenset({1, 2, 4, 126, 127})
"""Exit codes by which a part says that starting it again changes nothing."""

PATIENCE = 15.0
"""Seconds a part gets to leave."""
TICK = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One process to keep running."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class BackOff:
    """How long to wait before a part is started again."""

    first: float = 0.2
    most: float = 10.0
    forgiven_after: float = 30.0

    def delay(self, crashes: int) -> float:
        """The wait after that many crashes in a row."""
        return min(self.most, self.first * 2 ** max(0, min(crashes, 30) - 1))

    def crashes(self, before: int, lived: float) -> int:
        """Crashes in a row, after one more by a process that had lived that long."""
        return 1 if lived >= self.forgiven_after else before + 1


@dataclass(slots=True, kw_only=True)
class _Running:
    part: Part
    process: "subprocess.Popen[bytes] | None" = None
    started: float = 0.0
    crashes: int = 0
    due: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """Why the supervisor ended: a signal, or (`code`) a part that cannot work."""

    signal: int = 0
    code: int = 0


@dataclass(slots=True)
class Supervisor:
    """Runs parts until it is told to stop. `ready` is asked until it holds, then `on_ready` is called once.

    `before_stop` is called with the signal that ends it, while everything still runs.
    """

    parts: Sequence[Part]
    ready: Callable[[], bool]
    on_ready: Callable[[], None]
    before_stop: Callable[[int], None] = lambda _number: None
    back_off: BackOff = field(default_factory=BackOff)
    _running: list[_Running] = field(default_factory=list[_Running])
    _was_ready: bool = False

    def run(self) -> Ending:
        """Start everything, keep it running, and stop it again."""
        previous = signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
        self._running = [_Running(part=part) for part in self.parts]
        try:
            ending = self._keep_running()
            if ending.signal:
                self.before_stop(ending.signal)
            return ending
        finally:
            self._stop()
            signal.pthread_sigmask(signal.SIG_SETMASK, previous)

    def _keep_running(self) -> Ending:
        while True:
            now = time.monotonic()
            for running in self._running:
                if (ending := self._look_after(running, now)) is not None:
                    return ending
            if not self._was_ready and self.ready():
                self._was_ready = True
                self.on_ready()
            number = self._wait(now)
            if number in ENDING:
                return Ending(signal=number)
            if number in FORWARDED:
                self._forward(number)

    def _wait(self, now: float) -> int:
        due = [running.due - now for running in self._running if running.process is None]
        timeout = min([3600.0 if self._was_ready else TICK, *(max(0.0, wait) for wait in due)])
        received = signal.sigtimedwait(WATCHED, timeout)
        return received.si_signo if received else 0

    def _look_after(self, running: _Running, now: float) -> Ending | None:
        if running.process is None:
            if now >= running.due:
                self._start(running, now)
            return None
        code = running.process.poll()
        if code is None:
            return None
        if not self._was_ready and code in HOPELESS:
            return Ending(code=code)
        running.crashes = self.back_off.crashes(running.crashes, now - running.started)
        wait = self.back_off.delay(running.crashes)
        running.process, running.due = None, now + wait
        note(f"{running.part.name} ended ({_manner(code)}); starting it again in {wait:.1f} s")
        return None

    def _start(self, running: _Running, now: float) -> None:
        running.process = subprocess.Popen(
            list(running.part.command),
            env=dict(running.part.environment),
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=_unblock,  # noqa: PLW1509 - this process has no threads
        )
        running.started = now

    def _forward(self, number: int) -> None:
        for running in self._running:
            if running.process is not None:
                running.process.send_signal(number)

    def _stop(self) -> None:
        for running in reversed(self._running):
            process = running.process
            if process is None or process.poll() is not None:
                continue
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                note(f"{running.part.name} did not leave within {PATIENCE:.0f} s and is killed")
                process.kill()
                process.wait()


def _unblock() -> None:
    """In the child, before it becomes the part: receive signals again."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, WATCHED)


def _manner(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"by {signal.Signals(-code).name}"
