"""Foreign questions of a DNS front, on their way to the machine's own resolvers and back.

A question goes on unchanged (EDNS, flags, types nobody here knows) under a fresh random id from a fresh port, and its
answer comes back unchanged, so that nothing the asker relies on is lost; by UDP if it came so, else by TCP. Servers are
asked in the order of the machine's resolv.conf, which is read again when it changes (a VPN comes up); one that refuses,
fails or stays silent is followed by the next, each twice at most.
"""

import os
import socket
from collections.abc import Callable

from plait.node import dns_wire as wire
from plait.node.dns_loop import Loop

Server = tuple[str, int]
Servers = Callable[[], tuple[Server, ...]]
Done = Callable[[bytes | None], None]

_NOT_HELPFUL = (2, 4, 5)
"""SERVFAIL, NOTIMP, REFUSED: another server may know better."""
_ROUNDS = 2
_AT_ONCE = 512


class Forwarder:
    """Asks the resolvers that `servers` names at that moment, each for `attempt` seconds, all for `deadline`."""

    def __init__(self, loop: Loop, servers: Servers, *, attempt: float = 1.0, deadline: float = 4.0) -> None:
        self.loop = loop
        self.attempt = attempt
        self.deadline = deadline
        self.servers = servers
        self._open = 0

    def ask(self, question: bytes, done: Done, *, stream: bool) -> None:
        """Call `done` once with the answer, or with None if no resolver gives one in time."""
        if self._open >= _AT_ONCE:
            done(None)
            return
        self._open += 1

        def finished(answer: bytes | None) -> None:
            self._open -= 1
            done(answer)

        _Exchange(self, question, self.servers() * _ROUNDS, finished, stream=stream).next()


class _Exchange:
    """One question on its way through the resolvers."""

    __slots__ = ("_begun", "_deadline", "_done", "_fallback", "_left", "_owner", "_question", "_sent", "_sock",
                 "_stream", "_timer")  # fmt: skip

    def __init__(
        self, owner: Forwarder, question: bytes, servers: tuple[Server, ...], done: Done, *, stream: bool
    ) -> None:
        self._owner = owner
        self._question = question
        self._left = list(servers)
        self._done = done
        self._stream = stream
        self._fallback: bytes | None = None
        self._sock: socket.socket | None = None
        self._sent = b""
        self._begun = b""
        self._timer = owner.loop.later(owner.attempt, self.next)
        self._deadline = owner.loop.later(owner.deadline, self._finish)

    def next(self) -> None:
        """Give up on the resolver asked now, and ask the next one."""
        self._close()
        while self._left:
            server = self._left.pop(0)
            self._sent, self._begun = os.urandom(2) + self._question[2:], b""
            try:
                self._open(server)
            except OSError:
                self._close()
                continue
            self._timer = self._owner.loop.later(self._owner.attempt, self.next)
            return
        self._finish()

    def _open(self, server: Server) -> None:
        family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
        kind = socket.SOCK_STREAM if self._stream else socket.SOCK_DGRAM
        self._sock = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        if self._stream:
            self._sock.connect_ex(server)
            self._owner.loop.watch(self._sock.fileno(), self._connected, write=True)
            return
        self._sock.connect(server)
        self._sock.send(self._sent)
        self._owner.loop.watch(self._sock.fileno(), self._datagram)

    def _connected(self) -> None:
        assert self._sock is not None  # noqa: S101
        try:
            self._sock.send(len(self._sent).to_bytes(2, "big") + self._sent)
        except OSError:
            self.next()
            return
        self._owner.loop.watch(self._sock.fileno(), self._segment)

    def _datagram(self) -> None:
        assert self._sock is not None  # noqa: S101
        try:
            answer = self._sock.recv(65535)
        except BlockingIOError:
            return
        except OSError:
            self.next()
            return
        if wire.answers(self._sent, answer):
            self._take(answer)

    def _segment(self) -> None:
        assert self._sock is not None  # noqa: S101
        try:
            data = self._sock.recv(65535)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._begun += data
        whole = len(self._begun) >= 2 and len(self._begun) >= 2 + int.from_bytes(self._begun[:2], "big")
        if whole and wire.answers(self._sent, self._begun[2:]):
            self._take(self._begun[2 : 2 + int.from_bytes(self._begun[:2], "big")])
        elif whole or not data:
            self.next()

    def _take(self, answer: bytes) -> None:
        mended = self._question[:2] + answer[2:]
        if answer[3] & 0x0F in _NOT_HELPFUL:
            self._fallback = mended
            self.next()
        else:
            self._fallback = mended
            self._finish()

    def _close(self) -> None:
        self._timer.cancel()
        if self._sock is not None:
            self._owner.loop.ignore(self._sock.fileno())
            self._sock.close()
            self._sock = None

    def _finish(self) -> None:
        self._close()
        self._deadline.cancel()
        self._done(self._fallback)


def machine_servers(path: str, *, without: str) -> Servers:
    """The resolvers that a resolv.conf names whenever they are asked for, `without` ourselves; see `resolv.conf(5)`."""
    seen: tuple[float, tuple[Server, ...]] = (-1.0, ())

    def servers() -> tuple[Server, ...]:
        nonlocal seen
        try:
            changed = os.stat(path).st_mtime  # noqa: PTH116 - pathlib is large
        except OSError:
            changed = 0.0
        if changed != seen[0]:
            found = tuple((server, 53) for server in _written(path) or ("127.0.0.1",) if server != without)
            seen = (changed, found)
        return seen[1]

    return servers


def _written(path: str) -> list[str]:
    found: list[str] = []
    try:
        with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            for line in file:
                words = line.split("#")[0].split(";")[0].split()
                if len(words) > 1 and words[0] == "nameserver" and _is_address(words[1].partition("%")[0]):
                    found.append(words[1])
    except OSError:
        pass
    return found


def _is_address(text: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, text)
        except OSError:
            continue
        return True
    return False
