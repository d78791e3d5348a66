"""What an app speaks on a port whose protocol nobody declared, learnt once when the port opens.

Connections are never sniffed while they wait: `http_inspector` would cost every server-first protocol its timeout.
Instead the agent connects itself: a server that speaks first is byte streams (tcp), or HTTP/2 if what it says is a
SETTINGS frame; one that answers `OPTIONS * HTTP/1.1` with `HTTP/` is http; everything else is tcp. Ports are found in
the place's own table of listeners.
"""

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Final

from plait.model.services import Protocol
from plait.node import http, netns, ports
from plait.node.dial import Dial

BANNER_WITHIN: Final = 0.1
_ANSWER_WITHIN: Final = 1.0
_SETTINGS: Final = b"\x04\x00\x00\x00\x00\x00"
"""Type, flags and stream of the frame with which every HTTP/2 server begins."""
_QUESTION: Final = b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\nUser-Agent: plait-probe\r\nConnection: close\r\n\r\n"


async def learn(port: int, dial: Dial) -> Protocol | None:
    """What the app speaks on that port; None while it does not accept connections."""
    try:
        channel = await dial(port)
    except OSError:
        return None
    async with http.streams(channel) as (reader, writer):
        with contextlib.suppress(TimeoutError, OSError):
            return recognise(await asyncio.wait_for(reader.read(16), BANNER_WITHIN))
        answer = b""
        with contextlib.suppress(TimeoutError, OSError):
            writer.write(_QUESTION)
            answer = await asyncio.wait_for(reader.read(16), _ANSWER_WITHIN)
        return recognise(answer)


def recognise(said: bytes) -> Protocol:
    """What a server speaks, from the first bytes it sent."""
    if said.startswith(b"HTTP/"):
        return Protocol.HTTP
    if len(said) >= 9 and said[3:9] == _SETTINGS:
        return Protocol.HTTP2
    return Protocol.TCP


async def open_ports(namespace: str, *, without: Iterable[int] = ()) -> tuple[int, ...]:
    """The ports on which something in that namespace accepts connections of others, beside its sidecar's own."""
    found = await asyncio.to_thread(netns.within, namespace, ports.listeners)
    others = {item.port for item in found if not item.address.startswith("127.") and item.address != "::1"}
    return tuple(sorted(others - set(without)))
