"""The sockets of a DNS front: workloads ask at the first two (UDP, TCP), Envoys at the other two."""

import contextlib
import socket
from collections.abc import Callable

from plait.node import dns_wire as wire
from plait.node.dns_conversation import Conversation
from plait.node.dns_loop import Loop

_BATCH = 64
_CONVERSATIONS = 1024
Reply = Callable[[bytes], None]


class Asked:
    """A question as it came: from whom, by TCP or not, and whether it must not be the mesh's."""

    __slots__ = ("address", "data", "outside", "reply", "stream")

    def __init__(self, address: tuple[str, int], data: bytes, reply: Reply, *, outside: bool, stream: bool) -> None:
        self.address = address
        self.data = data
        self.reply = reply
        self.outside = outside
        self.stream = stream


class Askers:
    """Hands every question to `take`; `sockets` as in `dns_wire.SOCKETS`."""

    def __init__(self, loop: Loop, sockets: list[socket.socket], take: Callable[[Asked], None]) -> None:
        self._loop = loop
        self._sockets = sockets
        self._take = take
        self._conversations: set[Conversation] = set()

    def open(self) -> None:
        """Take questions from now on."""
        for at, sock in enumerate(self._sockets):
            sock.setblocking(False)
            stream, outside = at % 2 == 1, at >= wire.SOCKETS // 2
            serve = self._accept if stream else self._datagrams
            self._loop.watch(sock.fileno(), lambda sock=sock, serve=serve, outside=outside: serve(sock, outside))

    def leave(self) -> list[int]:
        """Take no new questions; the descriptors of the sockets, for whoever does."""
        for sock in self._sockets:
            self._loop.ignore(sock.fileno())
        return [sock.fileno() for sock in self._sockets]

    def close(self) -> None:
        """Close everything."""
        for conversation in list(self._conversations):
            conversation.close()
        for sock in self._sockets:
            sock.close()

    def exist(self) -> bool:
        """Whether this machine still has the address that is asked."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind((self._sockets[0].getsockname()[0], 0))
            except OSError:
                return False
        return True

    def _datagrams(self, sock: socket.socket, outside: bool) -> None:
        for _ in range(_BATCH):
            try:
                data, address = sock.recvfrom(4096)
            except OSError:
                return

            def reply(answer: bytes, address: tuple[str, int] = address) -> None:
                with contextlib.suppress(OSError):
                    sock.sendto(answer, address)

            self._take(Asked(address, data, reply, outside=outside, stream=False))

    def _accept(self, sock: socket.socket, outside: bool) -> None:
        try:
            channel, address = sock.accept()
        except OSError:
            return
        if len(self._conversations) >= _CONVERSATIONS:
            channel.close()
            return

        def take(data: bytes, reply: Reply) -> None:
            self._take(Asked(address, data, reply, outside=outside, stream=True))

        self._conversations.add(Conversation(self._loop, channel, take, self._conversations.discard))
