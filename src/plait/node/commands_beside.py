"""Commands beside an app: `plait exec` runs one in its place, `plait stop` ends it all."""

import asyncio
import itertools
import signal
import socket
from typing import Final

from plait.errors import RefusedError
from plait.node import ending, launches, wire
from plait.node.app import Stdio
from plait.node.connection import Connection
from plait.node.lifecycle import Phase
from plait.node.workload import Workload

_NUMBERS: Final = itertools.count(1)
_PATIENCE: Final = 5.0


async def stop(workload: Workload) -> None:
    """End a workload in order, in the end by force."""
    await ending.leave(workload, signal.SIGTERM, insisting=True)


async def execute(workload: Workload, connection: Connection, message: wire.Message, stdio: Stdio) -> None:
    """Run a command in a workload's place as its user; the client talks to the command's own launcher."""
    if workload.life.phase is not Phase.RUNNING:
        raise RefusedError(f"the workload {workload.name} is {workload.life.phase.value}", "wait until it runs")
    number = next(_NUMBERS)
    folder = workload.directory.root
    document = {
        "socket": str(folder / f"exec-{number}.sock"),
        "exit_file": str(folder / f"exec-{number}.json"),
        "terminal": stdio.terminal,
        "grace": 1.0,
    }
    ours, theirs = socket.socketpair()
    with ours, theirs:
        try:
            process = launches.spawn(document, stdio.fds, client=theirs.fileno())
        finally:
            stdio.close()
        await connection.send({"event": "attached", "name": workload.name.name}, [ours.fileno()])
    launch = await launches.attach(folder / f"exec-{number}.sock", process)
    given: dict[str, str] = message.get("env") or {}
    command = workload.place.document(
        [str(word) for word in message.get("command", ())],
        environment={str(key): str(value) for key, value in given.items()},
        folder=str(message.get("workingDirectory") or "/"),
        caller=connection.caller,
        umask=int(message.get("umask", 0o022)),
    )
    await launch.order(do="start", document=command)
    workload.beside.add(launch)
    try:
        await _see_through(launch)
    finally:
        workload.beside.discard(launch)
        (folder / f"exec-{number}.json").unlink(missing_ok=True)
        await launch.close()


async def _see_through(launch: launches.Launch) -> None:
    """Deliver the client's signals at once, and end a command whose client has left."""
    async for event in launch.events():
        if event["event"] == "signal":
            await launch.order(do="signal", number=event["number"])
        elif event["event"] == "client gone":
            await launch.order(do="signal", number=signal.SIGHUP)
            await launch.order(do="signal", number=signal.SIGTERM)
            asyncio.get_running_loop().call_later(_PATIENCE, _kill, launch)


def _kill(launch: launches.Launch) -> None:
    if launch.channel.fileno() >= 0:
        launch.channel.send(wire.encode({"do": "signal", "number": signal.SIGKILL}))
