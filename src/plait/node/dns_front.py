"""The DNS front of a machine: holds the sockets that workloads ask, and outlives the node agent.

One small process a machine, of the standard library and little of that (no asyncio, dataclasses, pathlib: each would
make it larger than all of this). Every question goes to the agent, who knows what names mean (see `dns_wire` for what
they say to each other). The front forwards foreign questions itself, and remembers every answer:

    the agent answers              its answer, remembered
    it is slow, or fails           what is remembered, else its failure
    it is away                     what is remembered; another name waits for the next agent, for `patience` seconds

So names that a workload has used go on while an agent restarts, and no address is ever made up. Questions of Envoys
(the second pair of sockets) are always foreign. Without an agent it ends when the address that it answers at is gone.
"""

import array
import contextlib
import os
import resource
import socket
import sys
from collections import Counter

from plait.node import dns_wire as wire
from plait.node.dns_askers import Asked, Askers, Reply
from plait.node.dns_forward import Forwarder, machine_servers
from plait.node.dns_loop import Loop, Timer
from plait.node.dns_memory import Memory, Wording

_SLOW = 0.3
"""Seconds after which an agent is slow."""
_PATIENCE = 4.0
_LOOK_EVERY = 0.5
_IN_HAND = 128
_BATCH = 64
_FILES = 4096


class _Pending:
    """A question that waits for its answer."""

    __slots__ = ("asked", "client", "data", "reply", "sent", "stream", "timers")

    def __init__(self, client: bytes, data: bytes, reply: Reply, *, stream: bool) -> None:
        question = wire.read(data)
        self.client = client
        self.data = data
        self.reply = reply
        self.stream = stream
        self.asked: Wording | None = (question, stream) if question is not None else None
        self.sent = False
        self.timers: list[Timer] = []


class Front:
    """Answers workloads at `sockets` (see `dns_wire.SOCKETS`) while agents come and go at `listener`."""

    def __init__(
        self,
        loop: Loop,
        sockets: list[socket.socket],
        listener: socket.socket,
        *,
        forwarder: Forwarder,
        build: bytes,
        patience: float = _PATIENCE,
    ) -> None:
        self._loop = loop
        self._askers = Askers(loop, sockets, self._take)
        self._listener = listener
        self.forwarder = forwarder
        self._build = build
        self._patience = patience
        self._agent: socket.socket | None = None
        self._pending: dict[int, _Pending] = {}
        self._known: set[tuple[object, bytes]] = set()
        self._in_hand: Counter[bytes] = Counter()
        self._number = 0
        self._given_up = False
        self._look_again: Timer | None = None
        self.memory = Memory()

    def run(self) -> None:
        """Serve until told to end, or until nobody can ask any more."""
        self._askers.open()
        self._listener.setblocking(False)
        self._loop.watch(self._listener.fileno(), self._welcome)
        self._look()
        self._loop.run()
        self._askers.close()
        for sock in (self._listener, *([self._agent] if self._agent is not None else [])):
            sock.close()
        self._loop.close()

    def _take(self, asked: Asked) -> None:
        """Answer a question, now or later; one that is asked already is left out."""
        data, mark = asked.data, (asked.address, asked.data)
        if not wire.is_query(data) or mark in self._known:
            return
        client = socket.inet_aton(asked.address[0])
        if self._in_hand[client] >= _IN_HAND:
            asked.reply(wire.failed(data))
            return
        self._in_hand[client] += 1
        self._known.add(mark)

        def replied(answer: bytes) -> None:
            self._known.discard(mark)
            self._in_hand[client] -= 1
            if not self._in_hand[client]:
                del self._in_hand[client]
            asked.reply(answer)
            self._end_if_idle()

        pending = _Pending(client, data, replied, stream=asked.stream)
        if asked.outside:
            self._forward(pending)
            return
        self._number = (self._number + 1) & 0xFFFFFFFF
        self._hold(self._number, pending)

    def _hold(self, number: int, pending: _Pending) -> None:
        self._pending[number] = pending
        if not self._send(number, pending) and self._recall(number):
            return
        pending.timers = [
            self._loop.later(_SLOW, lambda: self._slow(number)),
            self._loop.later(self._patience, lambda: self._settle(number, wire.failed(pending.data))),
        ]

    def _send(self, number: int, pending: _Pending) -> bool:
        if self._agent is None or pending.sent:
            return pending.sent
        try:
            self._agent.send(wire.ask_frame(number, pending.client, pending.data, stream=pending.stream))
        except OSError:
            return False
        pending.sent = True
        return True

    def _slow(self, number: int) -> None:
        pending = self._pending.get(number)
        if pending is not None and not self._recall(number):
            self._send(number, pending)
            pending.timers.append(self._loop.later(_SLOW, lambda: self._slow(number)))

    def _recall(self, number: int) -> bool:
        """Answer from memory, if it is there."""
        pending = self._pending[number]
        found = self.memory.find(pending.client, pending.asked) if pending.asked is not None else None
        if found is None or pending.asked is None:
            return False
        verdict, reply = found
        if verdict == wire.FOREIGN:
            self._forward(self._release(number))
        else:
            self._settle(number, wire.again(reply, pending.data, pending.asked[0]))
        return True

    def _forward(self, pending: _Pending) -> None:
        def done(answer: bytes | None) -> None:
            pending.reply(wire.failed(pending.data) if answer is None else answer)

        self.forwarder.ask(pending.data, done, stream=pending.stream)

    def _settle(self, number: int, answer: bytes) -> None:
        if number in self._pending:
            self._release(number).reply(answer)

    def _release(self, number: int) -> _Pending:
        pending = self._pending.pop(number)
        for timer in pending.timers:
            timer.cancel()
        return pending

    # the agent

    def _welcome(self) -> None:
        try:
            channel, _ = self._listener.accept()
        except OSError:
            return
        channel.setblocking(False)
        if self._agent is not None:
            self._part()
        self._agent = channel
        self._loop.watch(channel.fileno(), self._hear)
        with contextlib.suppress(OSError):  # it may have said its last word and left
            channel.send(wire.HELLO + self._build)
        for number, pending in list(self._pending.items()):
            self._send(number, pending)

    def _hear(self) -> None:
        for _ in range(_BATCH):
            try:
                frame = self._agent.recv(wire.LARGEST) if self._agent is not None else b""
            except BlockingIOError:
                return
            except ConnectionResetError:  # it left before it read all; what it said last is still there
                continue
            except OSError:
                frame = b""
            if not frame:
                self._part()
                return
            self._obey(frame)

    def _obey(self, frame: bytes) -> None:
        order = frame[:1]
        if order == wire.ANSWER:
            self._answered(frame)
        elif order == wire.TAKE:
            self._give_up()
        elif order == wire.END:
            self._loop.stop()

    def _answered(self, frame: bytes) -> None:
        number, verdict, owner, reply = wire.answered(frame)
        pending = self._pending.get(number)
        if pending is None:
            return
        if verdict in (wire.KEEP, wire.MISSING, wire.FOREIGN) and pending.asked is not None:
            self.memory.keep(pending.client, owner, pending.asked, (verdict, reply))
        if verdict == wire.FOREIGN:
            self._forward(self._release(number))
        elif verdict != wire.FAILED or not self._recall(number):
            self._settle(number, reply)

    def _part(self) -> None:
        """The agent is gone: answer what is remembered, and let the rest wait for the next one."""
        if self._agent is None:
            return
        self._loop.ignore(self._agent.fileno())
        self._agent.close()
        self._agent = None
        if self._given_up:
            self._loop.stop()
        self._look()
        for number, pending in list(self._pending.items()):
            pending.sent = False
            self._recall(number)

    def _give_up(self) -> None:
        """Hand the sockets over and answer only what was asked already."""
        if self._agent is None or self._given_up:
            return
        self._given_up = True
        rights = array.array("i", self._askers.leave())
        try:
            self._agent.sendmsg([wire.TAKE], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        except OSError:
            self._part()
        self._end_if_idle()

    def _end_if_idle(self) -> None:
        if self._given_up and not self._pending and not self._known:
            self._loop.stop()

    def _look(self) -> None:
        """While there is no agent, end once the address is gone and nobody can ask any more."""
        if self._look_again is not None:
            self._look_again.cancel()
        if self._agent is not None:
            return
        if not self._askers.exist():
            self._loop.stop()
        self._look_again = self._loop.later(_LOOK_EVERY, self._look)


def main(arguments: list[str]) -> int:
    """Run as a front: the machine's resolv.conf, the build, then the descriptors of the listener and the sockets."""
    path, build, *numbers = arguments
    resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES, max(_FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
    listener, *sockets = [socket.socket(fileno=int(number)) for number in numbers]
    for sock in (listener, *sockets):
        os.set_inheritable(sock.fileno(), False)
    loop = Loop()
    forwarder = Forwarder(loop, machine_servers(path, without=sockets[0].getsockname()[0]))
    Front(loop, sockets, listener, forwarder=forwarder, build=build.encode()).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
