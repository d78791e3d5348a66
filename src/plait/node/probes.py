"""Probes: whether an app answers, asked from inside its own place, past its sidecar.

    http:PATH     GET answers 200 to 399         tcp            its first port accepts a connection (the default)
    exec:COMMAND  exits with 0 in its place      grpc           grpc.health.v1.Health/Check answers SERVING

`Readiness` decides from the results: one success publishes the endpoint, several failures in a row take it back. It
asks often until the first success, so that a start is not delayed, and then seldom.
"""

import asyncio
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Literal, cast

from plait.errors import RefusedError
from plait.node import http
from plait.node.dial import Dial

Kind = Literal["http", "tcp", "exec", "grpc", "none"]
PATIENCE: Final = 2.0
FAILURES: Final = 3
_FIRST: Final = 0.01
_LONGEST: Final = 0.5
_SEDATE: Final = 2.0


@dataclass(frozen=True, slots=True)
class Probe:
    """What to ask; `argument` is a path or a shell command."""

    kind: Kind
    argument: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """What a probe found; `reason` says why it failed."""

    reason: str = ""

    @property
    def ok(self) -> bool:
        """Whether the app answered as it should."""
        return not self.reason


def parse(text: str, *, has_port: bool) -> Probe:
    """The probe that `--probe` names; without one, a connection to the first port."""
    kind, _, argument = text.partition(":")
    if not text:
        return Probe("tcp" if has_port else "none")
    good = (
        (kind == "http" and argument.startswith("/"))
        or (kind == "exec" and argument)
        or text in ("tcp", "grpc", "none")
    )
    if not good:
        raise RefusedError(f"probe: {text!r} is not understood", "use http:/PATH, tcp, grpc or exec:COMMAND")
    if kind in ("http", "tcp", "grpc") and not has_port:
        raise RefusedError(f"probe: {text!r} needs a port", "declare the app's port with --port")
    return Probe(cast("Kind", kind), argument)


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """What is known of an app's answers so far."""

    ready: bool = False
    failures: int = 0
    asked: int = 0
    reason: str = "not asked yet"

    def after(self, result: Result) -> "Readiness":
        """What is known after one more answer."""
        if result.ok:
            return Readiness(ready=True, asked=self.asked + 1, reason="")
        failures = self.failures + 1
        ready = self.ready and failures < FAILURES
        return Readiness(ready=ready, failures=failures, asked=self.asked + 1, reason=result.reason)

    @property
    def pause(self) -> float:
        """Seconds until the next question."""
        if self.ready and not self.failures:
            return _SEDATE
        return min(_LONGEST, _FIRST * 1.5 ** min(self.failures, 20))


async def check(probe: Probe, port: int, *, dial: Dial, execute: Callable[[str], Awaitable[int]]) -> Result:
    """Ask once; never raises for what the app does."""
    try:
        async with asyncio.timeout(PATIENCE):
            return await _ask(probe, port, dial, execute)
    except TimeoutError:
        return Result(f"no answer within {PATIENCE:.0f} s")
    except (OSError, ValueError, EOFError) as error:
        return Result(str(error) or type(error).__name__)


async def _ask(probe: Probe, port: int, dial: Dial, execute: Callable[[str], Awaitable[int]]) -> Result:
    match probe.kind:
        case "none":
            return Result()
        case "exec":
            code = await execute(probe.argument)
            return Result(f"`{probe.argument}` exited with {code}" if code else "")
        case "tcp":
            (await dial(port)).close()
            return Result()
        case "http":
            head = f"GET {probe.argument} HTTP/1.1\r\nHost: localhost:{port}\r\nUser-Agent: plait-probe\r\n"
            status = (await http.exchange(await dial(port), head)).status
            return Result("" if 200 <= status < 400 else f"GET {probe.argument} answered {status}")
        case "grpc":
            return await _ask_grpc(port, dial)


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _field(name: bytes, value: bytes) -> bytes:
    """A header of HPACK that is literal, never indexed and not compressed."""
    return b"\x10" + bytes([len(name)]) + name + bytes([len(value)]) + value


def grpc_health_request(port: int) -> bytes:
    """The bytes of one Health/Check call over HTTP/2 without TLS."""
    headers = (
        _field(b":method", b"POST")
        + _field(b":scheme", b"http")
        + _field(b":path", b"/grpc.health.v1.Health/Check")
        + _field(b":authority", b"localhost:%d" % port)
        + _field(b"content-type", b"application/grpc")
        + _field(b"te", b"trailers")
    )
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    return preface + _frame(4, 0, 0) + _frame(1, 4, 1, headers) + _frame(0, 1, 1, b"\0\0\0\0\0")


async def _ask_grpc(port: int, dial: Dial) -> Result:
    async with http.streams(await dial(port)) as (reader, writer):
        writer.write(grpc_health_request(port))
        message = b""
        while True:
            head = await reader.readexactly(9)
            kind, flags, stream = head[3], head[4], int.from_bytes(head[5:9], "big") & 0x7FFFFFFF
            payload = await reader.readexactly(int.from_bytes(head[:3], "big"))
            if kind == 4 and not flags & 1:
                writer.write(_frame(4, 1, 0))
            if kind == 0 and stream == 1:
                message += payload
            if kind in (3, 7) or (kind in (0, 1) and stream == 1 and flags & 1):
                break
    serving = message[5:] == b"\x08\x01"
    return Result("" if serving else "grpc.health.v1.Health/Check does not answer SERVING")
