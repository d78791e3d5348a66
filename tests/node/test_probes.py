"""Probes against real servers, and what follows from their results."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any, cast

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.errors import RefusedError
from plait.node import probes
from plait.node.dial import dial_in
from plait.node.probes import FAILURES, Probe, Readiness, Result

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def unused(command: str) -> int:
    raise AssertionError(command)


async def asked(probe: Probe, port: int, execute: Callable[[str], Awaitable[int]] = unused) -> Result:
    return await probes.check(probe, port, dial=dial_in(""), execute=execute)


async def serving(handler: Handler, probe: Probe) -> Result:
    async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await handler(reader, writer)
        writer.close()

    server = await asyncio.start_server(closing, "127.0.0.1", 0)
    async with server:
        return await asked(probe, server.sockets[0].getsockname()[1])


@pytest.mark.parametrize(("status", "ok"), [(200, True), (302, True), (404, False), (503, False)])
def test_http_takes_200_to_399(status: int, ok: bool) -> None:
    """A probe by HTTP asks for the path and looks at the status."""
    lines: list[bytes] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines.append(await reader.readline())
        writer.write(b"HTTP/1.1 %d x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" % status)
        await writer.drain()

    result = asyncio.run(serving(handler, Probe("http", "/healthz")))
    assert result.ok is ok
    assert lines == [b"GET /healthz HTTP/1.1\r\n"]
    assert ok or str(status) in result.reason


def test_tcp_needs_a_listener() -> None:
    """An open port is an answer, a closed one is none."""

    async def handler(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0)

    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        assert asyncio.run(serving(handler, Probe("tcp"))).ok
        assert not asyncio.run(asked(Probe("tcp"), closed.getsockname()[1])).ok


@pytest.mark.parametrize(
    "rubbish", [b"", b"hello\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 x\r\nContent-Length: 9\r\n\r\nx"]
)
def test_rubbish_is_a_failure_and_no_crash(rubbish: bytes) -> None:
    """Whatever an app answers, the probe says only that it failed."""

    async def handler(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(rubbish)

    assert not asyncio.run(serving(handler, Probe("http", "/"))).ok
    assert not asyncio.run(serving(handler, Probe("grpc"))).ok


def test_exec_looks_at_the_exit_code() -> None:
    """A command that exits with 0 is an answer."""

    async def execute(command: str) -> int:
        return {"good": 0, "bad": 3}[command]

    assert asyncio.run(asked(Probe("exec", "good"), 0, execute)).ok
    assert "exited with 3" in asyncio.run(asked(Probe("exec", "bad"), 0, execute)).reason


@pytest.mark.parametrize(("answer", "ok"), [(b"\x08\x01", True), (b"\x08\x02", False), (b"", False), (None, False)])
def test_grpc_asks_the_standard_health_service(answer: bytes | None, ok: bool) -> None:
    """A real gRPC server is asked with HTTP/2 of our own; only SERVING is an answer."""

    class Health(grpc.GenericRpcHandler):
        def service(self, handler_call_details: Any) -> Any:
            if answer is None or handler_call_details.method != "/grpc.health.v1.Health/Check":
                return None
            return cast("Any", grpc.unary_unary_rpc_method_handler(_answering(answer)))

    async def scenario() -> Result:
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((Health(),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            return await asked(Probe("grpc"), port)
        finally:
            await server.stop(None)

    assert asyncio.run(scenario()).ok is ok


def _answering(answer: bytes) -> Any:
    async def check(_request: bytes, _context: Any) -> bytes:
        return answer

    return check


@given(st.lists(st.booleans(), max_size=40))
def test_readiness_follows_the_answers(answers: list[bool]) -> None:
    """Ready after any success, not ready only after several failures in a row."""
    known, failures = Readiness(), 0
    for ok in answers:
        before = known.ready
        known = known.after(Result("" if ok else "no"))
        failures = 0 if ok else failures + 1
        assert known.ready == (ok or (before and failures < FAILURES))
        assert 0 < known.pause <= 2.0


@pytest.mark.parametrize("text", ["http:", "http:x", "exec:", "smtp", "tcp:80"])
def test_unknown_probes_are_refused(text: str) -> None:
    """A probe that is not understood is told, with what there is."""
    with pytest.raises(RefusedError, match="exec:COMMAND"):
        probes.parse(text, has_port=True)


def test_without_a_port_there_is_nothing_to_connect_to() -> None:
    """An app without ports is ready when it runs, and cannot be asked by a connection."""
    assert probes.parse("", has_port=False) == Probe("none")
    with pytest.raises(RefusedError, match="needs a port"):
        probes.parse("http:/", has_port=False)
