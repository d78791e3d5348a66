"""The little HTTP/1.1 that the agent speaks itself: an Envoy's admin socket, HTTP probes, the API's unix socket.

One request on a connection of its own; the answer's body is read whole, by length, in chunks, or to the end.
"""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from plait.errors import UnreachableError
from plait.node import wire

_MOST: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@contextlib.asynccontextmanager
async def streams(channel: socket.socket) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Streams over a connected socket, closed at the end of the block."""
    reader, writer = await asyncio.open_connection(sock=channel)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def exchange(channel: socket.socket, head: str, body: bytes = b"") -> Answer:
    """Send a request whose head ends without the blank line, and read the answer."""
    async with streams(channel) as (reader, writer):
        writer.write(head.encode() + b"Connection: close\r\n\r\n" + body)
        await writer.drain()
        return await _answer(reader)


async def ask_socket(
    path: Path, target: str, *, method: str = "GET", document: Any = None, patience: float = 5.0
) -> Answer:
    """Ask the server on a unix socket; UnreachableError when it does not answer in time."""
    head, body = _request(method, target, document)
    try:
        async with asyncio.timeout(patience):
            channel = wire.connect(path, timeout=patience)
            channel.setblocking(False)
            return await exchange(channel, head, body)
    except (OSError, TimeoutError, ValueError, EOFError) as error:
        raise UnreachableError(f"nothing answers at {path}: {error or 'timed out'}", "see `plait doctor`") from error


async def converse(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: str, *, document: Any = None
) -> Answer:
    """Ask over streams that are open already (TLS): GET, or POST with a document. Closes them."""
    try:
        head, body = _request("GET" if document is None else "POST", target, document)
        writer.write(head.encode() + b"Connection: close\r\n\r\n" + body)
        await writer.drain()
        return await _answer(reader)
    finally:
        writer.close()


def _request(method: str, target: str, document: Any) -> tuple[str, bytes]:
    body = b"" if document is None else json.dumps(document).encode()
    head = f"{method} {target} HTTP/1.1\r\nHost: plait\r\nAccept: application/json\r\n"
    if body or method != "GET":
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head, body


async def _answer(reader: asyncio.StreamReader) -> Answer:
    words = (await reader.readline()).split(None, 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        raise ValueError("the answer is not HTTP")
    headers: dict[str, str] = {}
    while line := (await reader.readline()).strip():
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    return Answer(int(words[1]), headers, await _body(reader, headers))


async def _body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    if "chunked" in headers.get("transfer-encoding", ""):
        parts: list[bytes] = []
        while size := int((await reader.readline()).split(b";")[0] or b"0", 16):
            parts.append(await reader.readexactly(size))
            await reader.readline()
        return b"".join(parts)
    if "content-length" in headers:
        return await reader.readexactly(min(int(headers["content-length"]), _MOST))
    return await reader.read(_MOST)
