"""An open-loop generator of HTTP/1.1 requests: fixed times of sending, latency counted from the intended time.

Runs alone (`python -I -S pace.py ADDRESS PORT HOST PATH RATE SECONDS`) on the standard library, in any namespace;
prints a line when it is warm and one JSON object. Requests are spread evenly over a second; each takes a free
connection of a pool, or waits for one, its latency running. What the generator itself adds is the same on every path.
"""

import collections
import json
import select
import socket
import sys
import time
from collections.abc import Sequence

CONNECTIONS = 32
READY = "ready"
"""Printed when the first part, which makes connections and is not read, is over."""
WARM_UP = 0.5


class Connection:
    """One keep-alive connection: at most one request under way."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, timeout=5)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.intended = 0.0
        self._head = b""
        self._length = 0
        self._wanted = -1

    def send(self, request: bytes, intended: float) -> None:
        """Write a request."""
        self.intended, self._head, self._length, self._wanted = intended, b"", 0, -1
        self.socket.sendall(request)

    def receive(self) -> int:
        """Read what has come; the status once the response is whole, 0 before."""
        piece = self.socket.recv(65536)
        if not piece:
            raise ConnectionError("the connection was closed")
        self._length += len(piece)
        if self._wanted < 0:
            self._head += piece
            head, found, _ = self._head.partition(b"\r\n\r\n")
            if not found:
                return 0
            self._wanted = len(head) + 4 + content_length(head)
        return int(self._head[9:12]) if self._length >= self._wanted else 0


def content_length(head: bytes) -> int:
    """The length of the body that the head of a response announces."""
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    return 0


def percentile(values: list[float], share: float) -> float:
    """The value that this share of sorted values does not exceed."""
    return values[min(len(values) - 1, int(share * len(values)))] if values else 0.0


class Run:
    """One run: its pool, its plan and what it saw."""

    def __init__(self, address: tuple[str, int], host: str, *, path: str, rate: float, seconds: float) -> None:
        self.request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: pace\r\n\r\n".encode()
        self.rate = rate
        self.plan(seconds)
        self.poll = select.epoll()
        self.connections: dict[int, Connection] = {}
        for _ in range(CONNECTIONS):
            connection = Connection(address)
            self.connections[connection.socket.fileno()] = connection
            self.poll.register(connection.socket, select.EPOLLIN)
        self.free = collections.deque(self.connections.values())

    def plan(self, seconds: float) -> None:
        """Forget what was seen and plan so many seconds."""
        self.total = int(self.rate * seconds)
        self.latencies: list[float] = []
        self.failed = 0

    def drive(self) -> None:
        """Send everything at its time and wait for the answers, at most two seconds for the last."""
        started = time.perf_counter()
        sent = 0
        limit = started + self.total / self.rate + 2
        while len(self.latencies) + self.failed < self.total and time.perf_counter() < limit:
            now = time.perf_counter()
            while self.free and sent < self.total and started + sent / self.rate <= now:
                self.free.popleft().send(self.request, started + sent / self.rate)
                sent += 1
            wait = started + sent / self.rate - time.perf_counter() if self.free and sent < self.total else 0.05
            for number, _ in self.poll.poll(max(0.0, min(wait, 0.05))):
                self.take(self.connections[number])

    def take(self, connection: Connection) -> None:
        """Read from a connection; a whole response frees it."""
        status = connection.receive()
        if not status:
            return
        self.free.append(connection)
        if status == 200:
            self.latencies.append(time.perf_counter() - connection.intended)
        else:
            self.failed += 1

    def close(self) -> None:
        """Close every connection."""
        self.poll.close()
        for connection in self.connections.values():
            connection.socket.close()

    def report(self) -> dict[str, float]:
        """What was measured, milliseconds."""
        ordered = sorted(self.latencies)
        return {
            "requests": len(ordered),
            "failed": self.total - len(ordered),
            "p50": 1000 * percentile(ordered, 0.5),
            "p99": 1000 * percentile(ordered, 0.99),
        }


def main(arguments: Sequence[str]) -> None:
    """Run once and print."""
    address, port, host, path, rate, seconds = arguments
    run = Run((address, int(port)), host, path=path, rate=float(rate), seconds=WARM_UP)
    run.drive()
    sys.stdout.write(READY + "\n")
    sys.stdout.flush()
    run.plan(float(seconds))
    run.drive()
    run.close()
    sys.stdout.write(json.dumps(run.report()) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
