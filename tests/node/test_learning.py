"""What an app speaks, found out by asking it."""

import asyncio
import socket

import grpc
import pytest

from plait.model.services import Protocol
from plait.node.dial import dial_in
from plait.node.learning import BANNER_WITHIN, learn


async def learnt(*, banner: bytes = b"", answer: bytes = b"", silent: bool = False) -> Protocol | None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(banner)
        if not banner:
            await reader.readline()
            writer.write(answer)
        if silent:
            await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        return await learn(server.sockets[0].getsockname()[1], dial_in(""))


@pytest.mark.parametrize(
    ("banner", "answer", "protocol"),
    [
        (b"220 ready\r\n", b"", Protocol.TCP),
        (b"", b"HTTP/1.1 501 Unsupported\r\n\r\n", Protocol.HTTP),
        (b"", b"HTTP/1.0 200 OK\r\n\r\n", Protocol.HTTP),
        (b"", b"-ERR unknown command\r\n", Protocol.TCP),
        (b"", b"", Protocol.TCP),
        (b"\0\0\0\x04\0\0\0\0\0", b"", Protocol.HTTP2),
    ],
)
def test_banner_then_question(banner: bytes, answer: bytes, protocol: Protocol) -> None:
    """Who speaks first is TCP, who answers OPTIONS with HTTP is HTTP, everybody else is TCP."""
    assert asyncio.run(learnt(banner=banner, answer=answer)) is protocol


def test_a_grpc_server_is_http2() -> None:
    """A real gRPC server announces itself by its SETTINGS."""

    async def scenario() -> Protocol | None:
        server = grpc.aio.server()
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            return await learn(port, dial_in(""))
        finally:
            await server.stop(None)

    assert asyncio.run(scenario()) is Protocol.HTTP2


def test_a_closed_port_teaches_nothing() -> None:
    """What does not accept connections yet is asked again later."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        assert asyncio.run(learn(closed.getsockname()[1], dial_in(""))) is None


def test_a_silent_app_is_tcp_within_bounds() -> None:
    """An app that never answers is byte streams; asking it takes a bounded time."""

    async def scenario() -> float:
        started = asyncio.get_running_loop().time()
        assert await learnt(silent=True) is Protocol.TCP
        return asyncio.get_running_loop().time() - started

    assert asyncio.run(scenario()) < 2.0 + BANNER_WITHIN
