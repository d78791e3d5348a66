"""One conversation of a client: with the agent, and with the launchers of its apps, until all have ended.

The launcher's word about an app counts; of an app that is attached, the agent is only asked when it is ready. So an
agent may die and come back meanwhile: the apps, their signals and their exit codes do not notice.
"""

import contextlib
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from plait.errors import (
    AlreadyExistsError,
    ConflictError,
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
OWN_FAILURE: Final = 125
_LOOK_EVERY: Final = 0.5
_FORWARDED: Final = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
_ERRORS: Final[Mapping[str, type[PlaitError]]] = {
    kind.__name__: kind
    for kind in (
        PlaitError,
        RefusedError,
        NotFoundError,
        AlreadyExistsError,
        ConflictError,
        ForbiddenError,
        UnreachableError,
        DeadlineError,
    )
}


def connect(agent: Path) -> socket.socket:
    """A connection to the agent; raises what to do when there is none."""
    try:
        return wire.connect(agent)
    except PermissionError:
        raise ForbiddenError(f"you may not ask the node agent at {agent}", "ask its owner") from None
    except OSError:
        remedy = "start one with `plait up`, or say which with --state-dir or PLAIT_STATE_DIR"
        raise UnreachableError(f"no node agent answers at {agent}", remedy) from None


def ask(agent: Path, request: Mapping[str, Any]) -> dict[str, Any]:
    """One question to the agent and its answer; a refusal is raised."""
    with connect(agent) as channel:
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


@dataclass(slots=True)
class _App:
    """One app that this client waits for."""

    channel: socket.socket
    decoder: wire.Decoder = field(default_factory=wire.Decoder)


@dataclass(slots=True)
class Session:
    """Until every app has ended or, detached, is ready. `expected` counts apps that are not attached yet."""

    agent: Path
    ready_file: Path | None = None
    channel: socket.socket | None = None
    decoder: wire.Decoder = field(default_factory=wire.Decoder)
    apps: dict[int, _App] = field(default_factory=dict[int, _App])
    expected: int = 1
    settled: int = 0
    code: int = 0
    interrupted: bool = False

    def run(self, request: dict[str, Any], *, detach: bool, terminal: bool) -> int:
        """Send the request and see it through; the first exit code that is not 0."""
        self.expected = len(request.get("specs", (1,)))
        mask = os.umask(0)
        os.umask(mask)
        with contextlib.ExitStack() as stack:
            screen = stack.enter_context(standard_files(terminal=terminal and not detach))
            self.channel = stack.enter_context(connect(self.agent))
            signals = stack.enter_context(_signals(detach=detach))
            message = {**request, "detach": detach, "umask": mask, "terminal": screen.is_terminal}
            wire.send(self.channel, message, () if detach else screen.fds)
            screen.sent()
            return self._wait_ready() if detach else self._wait_end(signals, screen)

    def _wait_ready(self) -> int:
        """Detached: until each is ready, or has ended already."""
        deadline = time.monotonic() + READY_WITHIN
        assert self.channel is not None  # noqa: S101
        while self.settled < self.expected:
            left = deadline - time.monotonic()
            if left <= 0:
                problem = f"not ready within {READY_WITHIN:.0f} s; it keeps running"
                raise DeadlineError(problem, "see `plait get workloads`")
            if select.select([self.channel], [], [], left)[0] and not self._hear_agent(self._detached):
                raise UnreachableError("the node agent ended before the workload was ready", "see `plait status`")
        return self.code

    def _detached(self, message: wire.Message, _fds: list[int]) -> None:
        match message.get("event"):
            case "ready":
                self.settled += 1
                self._write_ready(message)
            case "exited":
                self.settled += 1
                self.code = self.code or int(message["code"])
            case "failed":
                raise error_of(message)
            case _:
                pass

    def _wait_end(self, signals: socket.socket, screen: Terminal) -> int:
        while self.apps or (self.expected and not self.interrupted):
            readers = [signals.fileno(), *self.apps, *screen.readers()]
            readers += [self.channel.fileno()] if self.channel is not None else []
            pause = _LOOK_EVERY if self.channel is None and self.ready_file is not None else None
            for fd in select.select(readers, [], [], pause)[0]:
                if fd == signals.fileno():
                    self._forward(signals.recv(64), screen)
                elif fd in self.apps:
                    self._hear_app(fd)
                elif fd in screen.readers():
                    screen.relay(fd)
                elif self.channel is not None and not self._hear_agent(self._attached):
                    self._agent_lost()
            if pause is not None:
                self._look_again()
        screen.flush()
        return self.code

    def _hear_agent(self, take: Callable[[wire.Message, list[int]], None]) -> bool:
        assert self.channel is not None  # noqa: S101
        try:
            received = wire.receive(self.channel, self.decoder)
        except OSError:
            return False
        for message, fds in received or ():
            take(message, fds)
        return received is not None

    def _attached(self, message: wire.Message, fds: list[int]) -> None:
        for fd in fds:
            channel = socket.socket(fileno=fd)
            self.apps[channel.fileno()] = _App(channel)
            self.expected -= 1
        if message.get("event") == "ready":
            self._write_ready(message)
        elif message.get("event") == "failed" and self.expected:
            raise error_of(message)

    def _hear_app(self, fd: int) -> None:
        app, outcome = self.apps[fd], None
        try:
            received = wire.receive(app.channel, app.decoder)
        except OSError:
            received = None
        for message, _fds in received or ():
            if message.get("event") in ("exited", "failed"):
                outcome = message
        if outcome is None and received is not None:
            return
        del self.apps[fd]
        app.channel.close()
        outcome = outcome or {"code": OWN_FAILURE, "problem": "the launcher of the command was killed"}
        if problem := outcome.get("problem"):
            _say(str(problem), str(outcome.get("remedy", "")))
        self.code = self.code or int(outcome.get("code", OWN_FAILURE))

    def _agent_lost(self) -> None:
        """The apps run on without their agent; only what was never started is lost."""
        if self.channel is not None:
            self.channel.close()
        self.channel = None
        if self.expected:
            raise UnreachableError("the node agent ended before it started the command", "repeat the command")

    def _look_again(self) -> None:
        """Ask the next agent whether the workload is ready by now."""
        with contextlib.suppress(PlaitError):
            for item in ask(self.agent, {"do": "list"}).get("workloads", ()):
                if item["ready"]:
                    self._write_ready(item)

    def _forward(self, numbers: bytes, screen: Terminal) -> None:
        for number in numbers:
            if number == signal.SIGWINCH:
                screen.resize()
                continue
            for app in self.apps.values():
                with contextlib.suppress(OSError):
                    wire.send(app.channel, {"signal": number})
            if not self.apps:
                self.code, self.interrupted = 128 + number, True

    def _write_ready(self, message: Mapping[str, Any]) -> None:
        if self.ready_file is None:
            return
        facts = {key: message[key] for key in ("name", "namespace", "address") if key in message}
        draft = self.ready_file.with_name(f".{self.ready_file.name}.{os.getpid()}")
        draft.write_text(json.dumps(facts) + "\n", encoding="utf-8")
        draft.replace(self.ready_file)
        self.ready_file = None


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
