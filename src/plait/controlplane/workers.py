"""Further processes that serve streams behind control's port, so that more than one core is used.

    machines --mTLS--> worker 0..N-1 (one port, SO_REUSEPORT) --unix socket--> control: store, authority, API

The control process keeps the store, decides and answers the API; it serves no streams of its own then. Each worker
follows its store (`worker_service`), builds what its proxies are to hold, and hands on what machines ask. The control
process starts the workers, starts one again that dies, and asks them what only they know of their proxies.
"""

import asyncio
import logging
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import grpc

from plait.ads.peer_service import PeerClient
from plait.ads.transport import GrpcServer
from plait.aio.backoff import backoff
from plait.controlplane.state import StateDirectory
from plait.errors import RefusedError

log = logging.getLogger(__name__)

_STARTED_WITHIN: Final = 15.0
_ENDS_WITHIN: Final = 5.0
_LOOK_EVERY: Final = 2.0
_HEALTHY_AFTER: Final = 30.0


class Workers:
    """The workers of a control process."""

    def __init__(self, state: StateDirectory, count: int) -> None:
        self._state = state
        self._sockets = {str(number): f"unix:{state.control}/worker-{number}" for number in range(count)}
        self._peers = PeerClient(lambda: None)
        self._tasks: list[asyncio.Task[None]] = []
        self._server: GrpcServer | None = None
        self._reserved: list[socket.socket] = []
        self._gauges: Mapping[str, float] = {}
        self.opened = False
        """Whether machines are let in; a worker that starts later listens by itself."""

    @property
    def leads(self) -> bool:
        """A control leads its workers."""
        return True

    async def ask(self, method: str, body: Mapping[str, Any], limit: float = 1.0) -> Sequence[Mapping[str, Any]]:
        """What the workers answer; one that does not within `limit` seconds is left out."""
        return list((await self._peers.ask(self._sockets, method, body, limit)).values())

    def gauges(self) -> Mapping[str, float]:
        """How many proxies the workers serve, as of the last two seconds."""
        return self._gauges

    def reserve(self, host: str, port: int) -> int:
        """Keep a port for the workers (0: any that is free), who listen on it; RefusedError if another has it."""
        reserved = socket.socket()
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that have ended keep nobody out
        try:
            reserved.bind((host, port))
        except OSError as error:
            reserved.close()
            raise RefusedError(
                f"cannot listen on {host}:{port}: {error.strerror}", "stop what uses it, or choose another"
            ) from error
        self._reserved.append(reserved)
        return int(reserved.getsockname()[1])

    async def start(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """Serve the workers with these handlers, start them, and return once machines reach them."""
        path = self._state.control / "workers"
        path.unlink(missing_ok=True)
        self._server = GrpcServer(handlers)
        await self._server.listen(f"unix:{path}")
        self._tasks = [asyncio.create_task(self._keep(name)) for name in self._sockets]
        await self._open()
        self._tasks.append(asyncio.create_task(self._count()))

    async def close(self) -> None:
        """End the workers."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._peers.close()
        if self._server is not None:
            await self._server.close()
        self.release()

    def release(self) -> None:
        """Keep no port any longer."""
        for reserved in self._reserved:
            reserved.close()

    async def _open(self) -> None:
        """Let machines in: at once to all workers, so that they divide them."""
        try:
            async with asyncio.timeout(_STARTED_WITHIN):
                await asyncio.gather(*(self._started(name) for name in self._sockets))
        except TimeoutError:
            log.warning("not all workers have started; machines go to those that have")
        self.opened = True
        await self.ask("Listen", {}, _STARTED_WITHIN)

    async def _started(self, name: str) -> None:
        """Return once a worker answers."""
        for pause in backoff():
            if await self._peers.ask({name: self._sockets[name]}, "Gauges", {}, 1.0):
                return
            await asyncio.sleep(pause)

    async def _keep(self, name: str) -> None:
        """Run a worker for ever."""
        pauses = backoff()
        while True:
            began = asyncio.get_running_loop().time()
            code = await self._run(name)
            if asyncio.get_running_loop().time() - began > _HEALTHY_AFTER:
                pauses = backoff()
            log.warning("worker %s ended (%s) and is started again", name, code)
            await asyncio.sleep(next(pauses))

    async def _run(self, name: str) -> int:
        command = [sys.executable, "-m", "plait.controlplane.worker", str(self._state.root), name]
        process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.DEVNULL)
        try:
            return await process.wait()
        except asyncio.CancelledError:
            with suppress(ProcessLookupError):
                process.terminate()
            try:
                async with asyncio.timeout(_ENDS_WITHIN):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
            raise

    async def _count(self) -> None:
        """Count, and let in whoever was too late for `_open`, for ever."""
        while True:
            await self.ask("Listen", {})
            answers = await self.ask("Gauges", {})
            names = {name for answer in answers for name in answer}
            self._gauges = {name: sum(float(answer.get(name, 0)) for answer in answers) for name in names}
            await asyncio.sleep(_LOOK_EVERY)
