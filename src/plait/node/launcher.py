"""The launcher: owns one app, from before it starts until its exit code is known.

A process of its own that outlives the node agent. It is started early and holds the app until told to start, so
that the app does not wait for an interpreter. It forks the app into its place (see `confine`), adopts the app's
orphans, and talks in JSON lines (see `wire`) with

    the agent   through the unix socket `socket`, as often as an agent connects (so an agent's restart changes nothing)
                in  {"do": "start", "document": what is to be started} {"do": "status"} {"do": "signal", "number"}
                    {"do": "end", "code", "problem", "remedy"} while the app is held
                out {"event": "held"|"started"|"exited"|"failed"|"signal"|"client gone", "pid", "code", ...}
    the client  through an inherited socket: in {"signal": number}, out the same events

A client's SIGINT and SIGTERM are handed to the agent while one is connected, so that the endpoint leaves the mesh
before the app hears of it; every other signal, and a second one, goes to the app at once. When the app ends, what
is left of its processes is ended too; then the exit code is written to `exit_file` and told to everyone.
With `idle` there is no app: a gateway's launcher only holds its client's signals and outlives the agent.
With `replace` in the launch document the launcher becomes the command itself: that is how Envoys are started.
"""

import contextlib
import json
import os
import select
import signal
import socket
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from plait.node import confine, wire
from plait.node.execute import OWN_FAILURE, become_app, execute, exit_code

_DRAINING_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_TERMINAL_SIGNALS: Final = (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTSTP, signal.SIGCONT)
_ABANDONED_AFTER: Final = 2.0
_CLAIMED_WITHIN: Final = 30.0


@dataclass(slots=True)
class Launcher:
    """The state of one launch."""

    document: dict[str, Any]
    listener: socket.socket
    client: socket.socket | None
    children: socket.socket
    channels: dict[int, tuple[socket.socket, wire.Decoder]] = field(default_factory=dict[int, Any])
    pid: int = 0
    outcome: dict[str, Any] | None = None
    deadline: float | None = None
    killing: bool = False
    pending: int = 0
    abandoned: bool = False
    idle: bool = False

    def run(self) -> int:
        """Serve until the app and all it left behind are gone; the launcher's own exit code."""
        if self.client is not None:
            self._watch(self.client)
        while not self._finished():
            timeout = None if self.deadline is None else max(0.0, self.deadline - time.monotonic())
            readers = [self.listener.fileno(), self.children.fileno(), *self.channels]
            for fd in select.select(readers, [], [], timeout)[0]:
                self._serve(fd)
            if self.deadline is not None and time.monotonic() >= self.deadline:
                self._deadline_reached()
        return self._report()

    def _watch(self, channel: socket.socket) -> None:
        self.channels[channel.fileno()] = (channel, wire.Decoder())

    def _finished(self) -> bool:
        if self.outcome is None or not self.pid:
            return self.outcome is not None
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            return False
        return True

    def _serve(self, fd: int) -> None:
        if fd == self.listener.fileno():
            channel, _address = self.listener.accept()
            self._watch(channel)
            self._tell(channel, self._status())
        elif fd == self.children.fileno():
            self.children.recv(4096)
            self._reap()
        elif fd in self.channels:
            self._read(*self.channels[fd])

    def _read(self, channel: socket.socket, decoder: wire.Decoder) -> None:
        try:
            messages = wire.receive(channel, decoder)
        except (OSError, wire.WireError):
            messages = None
        if messages is None:
            self._lost(channel)
            return
        for message, _fds in messages:
            if channel is self.client:
                self._from_client(message)
            else:
                self._from_agent(channel, message)

    def _lost(self, channel: socket.socket) -> None:
        self.channels.pop(channel.fileno(), None)
        channel.close()
        if channel is self.client:
            self.client, self.abandoned = None, True
            self._broadcast({"event": "client gone"})
        if self.outcome is not None or self._agents():
            return
        if not self.pid and not self.idle:
            self.outcome = {"event": "failed", **_no_agent()}
        elif self.pending:
            self.deliver(self.pending)
        elif self.abandoned:
            self.deadline = time.monotonic() + _ABANDONED_AFTER

    def _agents(self) -> list[socket.socket]:
        return [channel for channel, _decoder in self.channels.values() if channel is not self.client]

    def _from_agent(self, channel: socket.socket, message: wire.Message) -> None:
        order = message.get("do")
        if order == "start" and self.document.get("idle"):
            self.idle = True
            self._broadcast(self._status(), everyone=True)
        elif order == "start" and not self.pid and self.outcome is None:
            self.document.update(message.get("document") or {})
            self._start()
        elif order == "signal":
            self.pending = 0
            self.deliver(int(message["number"]))
        elif order == "end" and not self.pid:
            self.outcome = {"event": "failed" if message.get("problem") else "exited", **message}
        else:
            self._tell(channel, self._status())

    def _from_client(self, message: wire.Message) -> None:
        number = int(message.get("signal", 0))
        if number in _DRAINING_SIGNALS and self._agents() and not self.pending:
            self.pending = number
            self._broadcast({"event": "signal", "number": number})
        elif number:
            self.deliver(number)

    def _start(self) -> None:
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            become_app(self.document, writer)
        os.close(writer)
        with open(reader, "rb") as report:  # noqa: PTH123
            failure = report.read()
        if failure:
            os.waitpid(pid, 0)
            self.outcome = {"event": "failed", **json.loads(failure)}
            return
        self.pid = pid
        _let_go_of_stdio()
        self._broadcast(self._status(), everyone=True)

    def _status(self) -> dict[str, Any]:
        if self.outcome is not None:
            return self.outcome
        started = bool(self.pid) or self.idle
        state = {"event": "started", "pid": self.pid} if started else {"event": "held"}
        return {**state, "pending": self.pending, "abandoned": self.abandoned}

    def deliver(self, number: int) -> None:
        """Hand a signal to the app; one that would end it ends the launcher while there is no app yet."""
        if self.outcome is not None:
            return
        if not self.pid:
            if number in (signal.SIGKILL, *_DRAINING_SIGNALS, signal.SIGHUP):
                self.outcome = {"event": "exited", "code": 0 if self.idle else 128 + number}
            return
        target = -self.pid if number in _TERMINAL_SIGNALS else self.pid
        with contextlib.suppress(ProcessLookupError):
            os.kill(target, number)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self.pid:
                self.outcome = {"event": "exited", "code": exit_code(status), "pid": pid}
                self._end_leftovers(signal.SIGTERM)

    def _end_leftovers(self, number: int) -> None:
        self.deadline = time.monotonic() + (float(self.document.get("grace", 5.0)) if number == signal.SIGTERM else 0.2)
        for pid in children_of(os.getpid()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _deadline_reached(self) -> None:
        self.deadline = None
        if self.outcome is not None:
            self._end_leftovers(signal.SIGKILL)
            return
        started = bool(self.pid) or self.idle
        if not started or not self.abandoned:
            self.outcome = None if started or self._agents() else {"event": "failed", **_no_agent()}
            return
        self.deliver(signal.SIGKILL if self.killing else signal.SIGTERM)
        if not self.killing:
            self.killing = True
            self.deadline = time.monotonic() + float(self.document.get("grace", 5.0))

    def _tell(self, channel: socket.socket, message: dict[str, Any]) -> None:
        try:
            channel.settimeout(1.0)
            wire.send(channel, message)
        except OSError:
            self._lost(channel)

    def _broadcast(self, message: dict[str, Any], *, everyone: bool = False) -> None:
        for channel in self._agents():
            self._tell(channel, message)
        if everyone and self.client is not None:
            self._tell(self.client, message)

    def _report(self) -> int:
        outcome = self.outcome or {"event": "exited", "code": OWN_FAILURE}
        with contextlib.suppress(OSError):
            record = Path(str(self.document["exit_file"]))
            draft = record.with_suffix(".new")
            draft.write_text(json.dumps(outcome), encoding="utf-8")
            draft.replace(record)
        self._broadcast(outcome, everyone=True)
        return 0


def _no_agent() -> dict[str, Any]:
    problem = "the node agent ended before the app could start"
    return {"code": OWN_FAILURE, "problem": problem, "remedy": "start it again, then repeat the command"}


def children_of(pid: int) -> list[int]:
    """The direct children of a process."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                state = (entry / "stat").read_text(encoding="utf-8", errors="replace")
                if int(state.rpartition(")")[2].split()[1]) == pid:
                    found.append(int(entry.name))
    return found


def _let_go_of_stdio() -> None:
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for fd in (0, 1, 2):
        os.dup2(nothing, fd, inheritable=False)


def main(arguments: list[str]) -> int:
    """Run as a launcher: the launch document's descriptor, then the client's socket (-1: none)."""
    with open(int(arguments[0]), encoding="utf-8") as source:  # noqa: PTH123
        document: dict[str, Any] = json.load(source)
    if document.get("replace"):
        failure = execute(document)
        os.write(2, f"{failure['problem']}; {failure['remedy']}\n".encode())
        return int(failure["code"])
    confine.become_subreaper()
    listener = wire.listen(Path(document["socket"]), mode=0o600)
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    client = socket.socket(fileno=int(arguments[1])) if int(arguments[1]) >= 0 else None
    if client is not None:
        os.set_inheritable(client.fileno(), False)
    launcher = Launcher(document, listener, client, reader, deadline=time.monotonic() + _CLAIMED_WITHIN)
    signal.set_wakeup_fd(writer.fileno())
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    signal.signal(signal.SIGTERM, lambda number, _frame: launcher.deliver(number))
    code = launcher.run()
    Path(document["socket"]).unlink(missing_ok=True)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
