"""The light client behind `plait run|start|exec|stop|gateway`: asks the node agent, then waits with the launcher.

It hands the agent the request and its own stdin, stdout and stderr (SCM_RIGHTS). What comes back is a socket to the
launcher that owns the app: signals go there, and the exit code comes from there, so neither needs the agent to live.
From the agent come only what it did and whether the workload is ready. Standard library only: loading it is quick.

Failures of our own end with 125, a command that cannot be executed with 126, one that does not exist with 127.
"""

import contextlib
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from plait.errors import (
    DeadlineError,
    ForbiddenError,
    NotFoundError,
    PlaitError,
    RefusedError,
    UnreachableError,
)
from plait.node import wire
from plait.node.terminal import Terminal, standard_files

READY_WITHIN: Final = 60.0
_FORWARDED: Final = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
_ERRORS: Final[Mapping[str, type[PlaitError]]] = {
    kind.__name__: kind for kind in (RefusedError, NotFoundError, ForbiddenError, UnreachableError, DeadlineError)
}


def run(agent: Path, spec: Mapping[str, Any], *, detach: bool = False, ready_file: Path | None = None) -> int:
    """Run one workload; returns the app's exit code (detached: 0 once it is ready)."""
    serves = bool(spec.get("ports") or spec.get("services"))
    request = {"do": "run", "spec": {**spec, "user": spec.get("user") or _behind_sudo()}}
    return _Session(agent, ready_file=ready_file).run(request, detach=detach, terminal=not serves)


def start(agent: Path, specs: Sequence[Mapping[str, Any]], *, detach: bool = False) -> int:
    """Run many workloads until all have ended; the first exit code that is not 0 (detached: 0 once all are ready)."""
    user = _behind_sudo()
    request = {"do": "start", "specs": [{**spec, "user": spec.get("user") or user} for spec in specs]}
    return _Session(agent).run(request, detach=detach, terminal=False)


def execute(agent: Path, namespace: str, name: str, request: Mapping[str, Any]) -> int:
    """Run another command in the place of a workload; returns its exit code."""
    return _Session(agent).run(
        {**request, "do": "exec", "namespace": namespace, "name": name}, detach=False, terminal=True
    )


def gateway(agent: Path, namespace: str, name: str, *, detach: bool = False, ready_file: Path | None = None) -> int:
    """Run the proxy of a Gateway until it is asked to end (detached: 0 once it is ready)."""
    request = {"do": "gateway", "spec": {"namespace": namespace, "name": name, "gateway": name}}
    return _Session(agent, ready_file=ready_file).run(request, detach=detach, terminal=False)


def stop(agent: Path, *, names: Sequence[str] = (), namespace: str | None = None) -> tuple[str, ...]:
    """End workloads in order (no names: all, or all of the namespace); returns the names of those that ended."""
    answer = ask(agent, {"do": "stop", "names": list(names), "namespace": namespace})
    return tuple(str(name) for name in answer.get("names", ()))


def ask(agent: Path, request: Mapping[str, Any]) -> dict[str, Any]:
    """One question to the agent and its answer; a refusal is raised."""
    with _connect(agent) as channel:
        wire.send(channel, request)
        decoder = wire.Decoder()
        while (received := wire.receive(channel, decoder)) is not None:
            for answer, _fds in received:
                if answer.get("event") == "failed":
                    raise error_of(answer)
                return answer
    raise UnreachableError("the node agent ended before it answered", "repeat the command")


def error_of(answer: Mapping[str, Any]) -> PlaitError:
    """The exception for a refusal."""
    kind = _ERRORS.get(str(answer.get("error", "")), RefusedError)
    return kind(str(answer.get("problem", "")), str(answer.get("remedy", "")))


def _connect(agent: Path) -> socket.socket:
    try:
        return wire.connect(agent)
    except PermissionError:
        raise ForbiddenError(f"you may not ask the node agent at {agent}", "ask its owner") from None
    except OSError:
        remedy = "start one with `plait up`, or say which with --state-dir or PLAIT_STATE_DIR"
        raise UnreachableError(f"no node agent answers at {agent}", remedy) from None


def _behind_sudo() -> str:
    """The user who called sudo: an app is root only when asked to be."""
    return os.environ.get("SUDO_UID", "") if os.geteuid() == 0 else ""


@dataclass(slots=True)
class _App:
    """One app that this client waits for."""

    channel: socket.socket
    decoder: wire.Decoder = field(default_factory=wire.Decoder)


@dataclass(slots=True)
class _Session:
    """One conversation: until every app has ended or, detached, is ready."""

    agent: Path
    ready_file: Path | None = None
    channel: socket.socket | None = None
    decoder: wire.Decoder = field(default_factory=wire.Decoder)
    apps: dict[int, _App] = field(default_factory=dict[int, _App])
    expected: int = 1
    ready: int = 0
    code: int = 0
    finished: bool = False

    def run(self, request: dict[str, Any], *, detach: bool, terminal: bool) -> int:
        """Send the request and see it through."""
        self.expected = len(request.get("specs", (1,)))
        mask = os.umask(0)
        os.umask(mask)
        with contextlib.ExitStack() as stack:
            files = standard_files(terminal=terminal and not detach)
            screen = stack.enter_context(files)
            self.channel = stack.enter_context(_connect(self.agent))
            signals = stack.enter_context(_signals(detach=detach))
            message = {**request, "detach": detach, "umask": mask, "terminal": screen.is_terminal}
            wire.send(self.channel, message, () if detach else screen.fds)
            screen.sent()
            return self._wait_ready() if detach else self._wait_end(signals, screen)

    def _wait_ready(self) -> int:
        deadline = time.monotonic() + READY_WITHIN
        assert self.channel is not None  # noqa: S101
        while not self.finished and self.ready < self.expected:
            left = deadline - time.monotonic()
            if left <= 0:
                raise DeadlineError(
                    f"not ready within {READY_WITHIN:.0f} s; it keeps running", "see `plait get workloads`"
                )
            if select.select([self.channel], [], [], left)[0] and not self._hear_agent():
                raise UnreachableError("the node agent ended before the workload was ready", "see `plait status`")
        return self.code

    def _wait_end(self, signals: socket.socket, screen: Terminal) -> int:
        while not self._done():
            readers = [signals.fileno(), *self.apps, *screen.readers()]
            readers += [self.channel.fileno()] if self.channel is not None else []
            for fd in select.select(readers, [], [])[0]:
                if fd == signals.fileno():
                    self._forward(signals.recv(64), screen)
                elif fd in self.apps:
                    self._hear_app(fd)
                elif fd in screen.readers():
                    screen.relay(fd)
                elif self.channel is not None and not self._hear_agent():
                    self._agent_lost()
        screen.flush()
        return self.code

    def _done(self) -> bool:
        return self.finished or (self.expected == 0 and not self.apps)

    def _hear_agent(self) -> bool:
        assert self.channel is not None  # noqa: S101
        try:
            received = wire.receive(self.channel, self.decoder)
        except OSError:
            return False
        for message, fds in received or ():
            self._from_agent(message, fds)
        return received is not None

    def _from_agent(self, message: wire.Message, fds: list[int]) -> None:
        for fd in fds:
            channel = socket.socket(fileno=fd)
            self.apps[channel.fileno()] = _App(channel)
            self.expected -= 1
        event = message.get("event")
        if event == "ready":
            self.ready += 1
            self._write_ready(message)
        elif event == "note":
            _say(str(message.get("problem", "")), str(message.get("remedy", "")))
        elif event in ("failed", "exited"):
            self._ended(message, close=True)

    def _hear_app(self, fd: int) -> None:
        app = self.apps[fd]
        try:
            received = wire.receive(app.channel, app.decoder)
        except OSError:
            received = None
        for message, _fds in received or ():
            if message.get("event") in ("exited", "failed"):
                self._ended(message)
                received = None
        if received is None:
            del self.apps[fd]
            app.channel.close()

    def _ended(self, message: Mapping[str, Any], *, close: bool = False) -> None:
        code = int(message.get("code", 125))
        if message.get("event") == "failed":
            if close and code == 125:
                raise error_of(message)
            _say(str(message.get("problem", "")), str(message.get("remedy", "")))
        self.code = self.code or code
        self.finished = self.finished or close

    def _agent_lost(self) -> None:
        """The apps run on without their agent; only what was never started is lost."""
        if self.channel is not None:
            self.channel.close()
        self.channel = None
        if self.expected > 0:
            raise UnreachableError("the node agent ended before it started the command", "repeat the command")

    def _forward(self, numbers: bytes, screen: Terminal) -> None:
        for number in numbers:
            if number == signal.SIGWINCH:
                screen.resize()
                continue
            for app in self.apps.values():
                with contextlib.suppress(OSError):
                    wire.send(app.channel, {"signal": number})
            if not self.apps:
                self.code, self.finished = 128 + number, True

    def _write_ready(self, message: Mapping[str, Any]) -> None:
        if self.ready_file is None or self.ready < 1:
            return
        facts = {key: message[key] for key in ("name", "namespace", "address", "pid") if key in message}
        draft = self.ready_file.with_name(f".{self.ready_file.name}.{os.getpid()}")
        draft.write_text(json.dumps(facts) + "\n", encoding="utf-8")
        draft.replace(self.ready_file)


def _say(problem: str, remedy: str) -> None:
    sys.stderr.write(f"plait: {problem}\n" + (f"  {remedy}\n" if remedy else ""))
    sys.stderr.flush()


@contextlib.contextmanager
def _signals(*, detach: bool) -> Generator[socket.socket]:
    """A socket on which the numbers of signals arrive; ignored signals (nohup) stay ignored."""
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    previous: dict[int, Any] = {}
    try:
        if not detach:
            signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
            for number in (*_FORWARDED, signal.SIGWINCH):
                if signal.getsignal(number) != signal.SIG_IGN:
                    previous[number] = signal.signal(number, lambda _number, _frame: None)
        yield reader
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        if not detach:
            signal.set_wakeup_fd(-1)
        reader.close()
        writer.close()
