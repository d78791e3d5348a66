"""The kinds of calls that are measured: their protocol, the ports that carry it, the size of the answer.

Each protocol has a port of the service (what a client calls) and a port of the app behind it, so that every path keeps
the protocols apart as its users would: by the port.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """What is spoken on the service's `port` and on the app's `app_port`; `known_as` is its `appProtocol`."""

    name: str
    port: int
    app_port: int
    known_as: str

    @property
    def multiplexed(self) -> bool:
        """Whether one connection carries several calls at a time (HTTP/2)."""
        return self in (HTTP2, GRPC)


HTTP1: Final = Protocol(name="HTTP/1.1", port=80, app_port=8080, known_as="http")
HTTP2: Final = Protocol(name="HTTP/2", port=81, app_port=8081, known_as="kubernetes.io/h2c")
TCP: Final = Protocol(name="TCP", port=82, app_port=8082, known_as="tcp")
GRPC: Final = Protocol(name="gRPC", port=83, app_port=8083, known_as="grpc")
PROTOCOLS: Final = (HTTP1, HTTP2, TCP, GRPC)
"""TCP carries the same HTTP/1.1 requests as HTTP1, but the proxies do not look into them."""

GRPC_PATH: Final = "/bench.Answers/Answer"
BODIES: Final = {"empty": 0, "1 KB": 1024, "100 KB": 102400}
"""Bytes of the answer's body (of the message, with gRPC) by the name of the size."""
PATHS: Final = {"empty": "/0", "1 KB": "/1k", "100 KB": "/100k"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One kind of call: a protocol and the size of its answer (see `BODIES`)."""

    protocol: Protocol
    body: str = "1 KB"

    def __str__(self) -> str:
        return f"{self.protocol.name}, {self.body}"

    @property
    def path(self) -> str:
        """The path that the app answers so."""
        return GRPC_PATH if self.protocol is GRPC else PATHS[self.body]
