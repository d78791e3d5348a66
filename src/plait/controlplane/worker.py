"""A worker of control: serves the streams of the machines that reach it, and hands on what else they ask.

usage: python -m plait.controlplane.worker STATE NUMBER      (started by `workers`, by nobody else)

It keeps nothing. When the control process is gone it ends, and the machines go where control is next; until then their
proxies hold what they have.
"""

import asyncio
import logging
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import grpc
import uvloop

from plait.ads.node_forwarding import Forwarding
from plait.ads.node_service import by_certificate
from plait.ads.peer_service import Method
from plait.ads.peer_service import handler as peer_handler
from plait.ads.transport import GrpcServer, channel, server_credentials
from plait.aio.supervise import supervise
from plait.controlplane.asking import Document, nobody
from plait.controlplane.connected import ConnectedProxies
from plait.controlplane.everywhere import Holders
from plait.controlplane.memory import keep_trimmed
from plait.controlplane.serving import Serving
from plait.controlplane.state import StateDirectory
from plait.controlplane.worker_service import Followed
from plait.errors import PlaitError, UnreachableError

log = logging.getLogger(__name__)

_REACHED_WITHIN: Final = 10.0


class Worker:
    """The parts of a worker."""

    def __init__(self, control: grpc.aio.Channel, followed: Followed) -> None:
        self._followed = followed
        self.serving = Serving(followed.store, followed.beginning.trust_domain, leads=lambda: False)
        caller = by_certificate(followed.beginning.trust_domain)
        self._handlers = [self.serving.connections.service.handler(), Forwarding(control, caller, self._answered)]
        self._servers: list[GrpcServer] = []

    async def listen(self) -> None:
        """Let machines in; a second time does nothing."""
        if self._servers:
            return
        for address in self._followed.beginning.addresses:
            self._servers.append(server := GrpcServer(self._handlers, shared=True))
            await server.listen(address, server_credentials(lambda: self._followed.identity))

    async def close(self) -> None:
        """Send the machines away."""
        for server in self._servers:
            await server.close()

    def methods(self) -> Mapping[str, Method]:
        """What the control process asks."""
        serving = self.serving
        holders = Holders(serving.publisher, serving.connections, serving.reconciler, nobody)
        connected = ConnectedProxies(serving.publisher, serving.connections, serving.builder.located)

        async def listen(_body: Document) -> Document:
            await self.listen()
            return {}

        refusals = serving.refusals.methods(serving.connections)
        return {**holders.methods(), **connected.methods(), **refusals, "Listen": listen}

    async def _answered(self, method: str, answer: Document) -> None:
        """A workload that was registered is known here before its machine hears so: its stream is opened next."""
        if method == "Register":
            with suppress(TimeoutError):
                async with asyncio.timeout(_REACHED_WITHIN):
                    await self.serving.reconciler.reached(int(answer["metadata"]["resourceVersion"]))


async def serve(state: StateDirectory, name: str) -> None:
    """Serve until the control process is gone, which raises UnreachableError, or until cancelled."""
    control = channel(f"unix:{state.control}/workers", None)
    followed = Followed(control)
    await followed.begin()
    worker = Worker(control, followed)
    serving = worker.serving
    await serving.reconciler.start()
    if followed.beginning.at_once:
        await worker.listen()
    socket = state.control / f"worker-{name}"
    socket.unlink(missing_ok=True)
    asked = GrpcServer([peer_handler(worker.methods(), None)])
    await asked.listen(f"unix:{socket}")
    tasks = [
        asyncio.create_task(supervise("reconciler", serving.reconciler.run)),
        asyncio.create_task(supervise("turns", lambda: serving.publisher.turns.run(serving.publisher.take_turn))),
        asyncio.create_task(supervise("memory", keep_trimmed)),
    ]
    try:
        await followed.run()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await worker.close()
        await asked.close()


async def _until_told(state: StateDirectory, name: str) -> None:
    work = asyncio.ensure_future(serve(state, name))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, work.cancel)
    with suppress(asyncio.CancelledError):
        await work


def main(words: Sequence[str]) -> int:
    """Run a worker."""
    root, name = words
    logging.basicConfig(level=logging.INFO, format=f"%(levelname)s worker {name}: %(message)s", stream=sys.stderr)
    try:
        uvloop.run(_until_told(StateDirectory(Path(root)), name))
    except UnreachableError:
        log.info("control is gone")
    except PlaitError as error:
        sys.stderr.write(f"plait control: worker {name}: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
