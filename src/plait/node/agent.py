"""The agent's socket: what clients of this machine ask, one request a connection.

    {"do": "run"|"gateway", "spec", "detach", "umask", "terminal"} + 3 files     {"do": "start", "specs", ...} + 3 files
    {"do": "exec", "namespace", "name", "command", "env", "workingDirectory", "umask", "terminal"} + 3 files
    {"do": "stop", "names", "namespace"}   {"do": "proxy_config"|"logs", "namespace", "name"}   {"do": "list"|"doctor"}
    {"do": "upgrade", "namespace", "name", "force"}: another Envoy takes over from the workload's

Answers are lines with `event`: `attached` (with the socket to the launcher), `phase`, `started`, `ready`, `exited`,
`failed` {code, error, problem, remedy}, or the one answer of the other requests. Who asks is what the kernel says.
"""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

from plait.aio import readiness
from plait.errors import PlaitError, RefusedError
from plait.identity.attestation import peer_process
from plait.node import commands_beside, envoys, reports, wire
from plait.node.app import Stdio, logged
from plait.node.connection import Connection
from plait.node.registry import Registry
from plait.node.starting import Start
from plait.node.workload import Workload

log = logging.getLogger(__name__)

_LAST_EVENTS: Final = ("exited", "failed")
Doctor = Callable[[], Awaitable[list[dict[str, Any]]]]


class Agent:
    """Serves the clients of one machine. `doctor` tells what is wrong with it."""

    def __init__(self, registry: Registry, doctor: Doctor) -> None:
        self._registry = registry
        self._doctor = doctor
        self._tasks: set[asyncio.Task[None]] = set()
        self._requests: Mapping[str, Callable[[Connection, wire.Message, list[int]], Awaitable[None]]] = {
            "run": self._run,
            "start": self._run,
            "gateway": self._run,
            "exec": self._execute,
            "stop": self._stop,
            "list": self._list,
            "proxy_config": self._configuration,
            "logs": self._logs,
            "upgrade": self._upgrade,
            "doctor": self._ask_doctor,
        }

    async def serve(self, path: Path) -> None:
        """Listen until cancelled. Anybody may connect; what they may do depends on who they are."""
        listener = wire.listen(path, mode=0o666)
        listener.setblocking(False)
        loop = asyncio.get_running_loop()
        readiness.tell(readiness.READY)
        try:
            while True:
                channel, _address = await loop.sock_accept(listener)
                task = asyncio.create_task(self._converse(channel), name="client")
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        finally:
            listener.close()
            wire.forget(path)
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _converse(self, channel: socket.socket) -> None:
        connection = Connection(channel)
        fds: list[int] = []
        try:
            received = await connection.receive()
            if received is not None:
                message, fds = received
                await self._answer(connection, message, fds)
        except wire.WireError as error:
            await connection.refuse(RefusedError(f"the request is not understood: {error}", "update the client"))
        except OSError:
            log.debug("a client left before its answer")
        finally:
            _close(fds)
            connection.close()

    async def _answer(self, connection: Connection, message: wire.Message, fds: list[int]) -> None:
        request = self._requests.get(str(message.get("do")))
        try:
            if request is None:
                raise RefusedError(f"there is no request {message.get('do')!r}", "update the client or the agent")
            await request(connection, message, fds)
        except PlaitError as error:
            await connection.refuse(error)
        except (OSError, asyncio.CancelledError):
            raise
        except Exception as error:
            log.exception("the request %s failed", message.get("do"))
            await connection.refuse(PlaitError(f"the node agent failed: {error}", "see its log"))

    async def _run(self, connection: Connection, message: wire.Message, fds: list[int]) -> None:
        documents: list[dict[str, Any]] = message["specs"] if message["do"] == "start" else [message["spec"]]
        peer = peer_process(connection.channel)
        news: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        created: list[Workload] = []
        try:
            for document in documents:
                created.append(await self._registry.create(document, connection.caller, peer))
                created[-1].listeners.add(news)
        except PlaitError:
            for workload in created:
                self._registry.forget(workload)
            raise
        try:
            for workload in created:
                await self._start(connection, workload, message, fds)
            _close(fds)
            await _relay(connection, news, len(created))
        finally:
            for workload in created:
                workload.listeners.discard(news)

    async def _start(self, connection: Connection, workload: Workload, message: wire.Message, fds: list[int]) -> None:
        umask = int(message.get("umask", 0o022))
        workload.directory.prepare(proxy_uid=self._registry.context.proxy_uid or 0)
        if message.get("detach") or len(fds) != 3:
            stdio = logged(workload.directory.log, workload.user)
            self._registry.start(workload, Start(stdio=stdio, client=-1, umask=umask))
            return
        ours, theirs = socket.socketpair()
        with ours, theirs:
            stdio = Stdio(fds=(fds[0], fds[1], fds[2]), terminal=bool(message.get("terminal"))).copied()
            self._registry.start(workload, Start(stdio=stdio, client=theirs.detach(), umask=umask))
            await connection.send({"event": "attached", "name": workload.name.name}, [ours.fileno()])

    async def _execute(self, connection: Connection, message: wire.Message, fds: list[int]) -> None:
        workload = self._registry.of(str(message["namespace"]), str(message["name"]), connection.caller)
        if len(fds) != 3:
            raise RefusedError("the client sent no standard files", "update the client")
        stdio = Stdio(fds=(fds[0], fds[1], fds[2]), terminal=bool(message.get("terminal"))).copied()
        _close(fds)
        await commands_beside.execute(workload, connection, message, stdio)

    async def _stop(self, connection: Connection, message: wire.Message, fds: list[int]) -> None:
        del fds
        chosen = self._chosen(connection, [str(name) for name in message.get("names") or ()], message.get("namespace"))
        for workload in chosen:
            workload.do(commands_beside.stop(workload))
        await asyncio.gather(*(workload.finished.wait() for workload in chosen))
        await connection.send({"event": "stopped", "names": [workload.name.name for workload in chosen]})

    def _chosen(self, connection: Connection, names: list[str], namespace: str | None) -> list[Workload]:
        if names:
            return [self._registry.of(namespace or "default", name, connection.caller) for name in names]
        found = [workload for workload in self._registry if namespace in (None, workload.name.namespace)]
        for workload in found:
            self._registry.check_owner(workload, connection.caller)
        return found

    async def _list(self, connection: Connection, message: wire.Message, fds: list[int]) -> None:
        del message, fds
        await connection.send({"event": "workloads", "workloads": [reports.summary(item) for item in self._registry]})

    async def _configuration(self, connection: Connection, message: wire.Message, fds: list[int]) -> None:
        del fds
        workload = self._registry.of(str(message["namespace"]), str(message["name"]), connection.caller)
        await connection.send({"event": "configuration", "configuration": await reports.configuration(workload)})

    async def _logs(self, connection: Connection, message: wire.Message, fds: list[int]) -> None:
        del fds
        workload = self._registry.of(str(message["namespace"]), str(message["name"]), connection.caller)
        await connection.send({"event": "logs", **reports.logs(workload)})

    async def _upgrade(self, connection: Connection, message: wire.Message, fds: list[int]) -> None:
        del fds
        workload = self._registry.of(str(message["namespace"]), str(message["name"]), connection.caller)
        changed = await envoys.upgrade(workload, force=bool(message.get("force")))
        await connection.send({"event": "upgraded", "changed": changed})

    async def _ask_doctor(self, connection: Connection, message: wire.Message, fds: list[int]) -> None:
        del message, fds
        await connection.send({"event": "doctor", "findings": await self._doctor()})


def _close(fds: list[int]) -> None:
    while fds:
        with contextlib.suppress(OSError):
            os.close(fds.pop())


async def _relay(connection: Connection, news: asyncio.Queue[dict[str, Any]], running: int) -> None:
    """Tell a client what happens to its workloads, until all have ended or it has left."""
    leaving = asyncio.ensure_future(connection.receive())
    try:
        while running:
            message = asyncio.ensure_future(news.get())
            await asyncio.wait((leaving, message), return_when=asyncio.FIRST_COMPLETED)
            if leaving.done():
                message.cancel()
                return
            await connection.send(message.result())
            running -= message.result()["event"] in _LAST_EVENTS
    finally:
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
