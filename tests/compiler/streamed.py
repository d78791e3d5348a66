"""A real Envoy that takes what it holds from a delta stream, so that changes and demand can be tested."""

import asyncio
import contextlib
import json
import shutil
import tempfile
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from plait.ads.server import AdsService, Peer, Session
from plait.ads.stream import Event, Subscribed
from plait.ads.transport import GrpcServer
from plait.envoy import types
from plait.envoy.bootstrap import arguments, bootstrap
from plait.envoy.resource_set import Entry, ResourceSet, entry_of
from tests.envoy import certificates, live, real


def secret_entries(uri: str) -> dict[str, Entry]:
    """The secrets that a node agent adds for a proxy of that identity."""
    messages = real.secrets(certificates.shared(), uri)
    return {message.name: entry_of(message.name, message) for message in messages}


@dataclass(slots=True)
class Control:
    """Holds one proxy's resources and sends them; `asked` are all names it subscribed to, by type."""

    resources: ResourceSet = field(default_factory=ResourceSet)
    sessions: list[Session] = field(default_factory=list[Session])
    asked: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    admin: Path = Path()
    told: asyncio.Event = field(default_factory=asyncio.Event)

    def authorize(self, node_id: str, peer: Peer) -> str:
        """Anybody may."""
        return node_id

    def opened(self, session: Session) -> None:
        """Sends what there is."""
        self.sessions.append(session)
        session.stream.publish(self.resources)
        session.wake()

    def received(self, session: Session, events: Sequence[Event]) -> None:
        """Keeps what was asked for."""
        for event in events:
            if isinstance(event, Subscribed):
                self.asked.setdefault(event.type_url, set()).update(event.names)
        self.told.set()

    def closed(self, session: Session) -> None:
        """Forgets the stream."""
        self.sessions.remove(session)

    async def publish(self, resources: ResourceSet) -> None:
        """Replaces everything and waits until Envoy holds it."""
        self.resources = resources
        for session in self.sessions:
            session.stream.publish(resources)
            session.wake()
        await self.settled()

    async def settled(self) -> None:
        """Waits until Envoy holds everything it asked for; fails with what it refused."""
        await self._until(lambda: bool(self.sessions) and all(item.stream.in_sync() for item in self.sessions))
        refused = [f"{key}: {item}" for session in self.sessions for key, item in session.stream.refusals().items()]
        assert refused == []

    async def asked_for(self, type_url: str, name: str) -> None:
        """Waits until Envoy subscribes to that name."""
        await self._until(lambda: name in self.asked.get(type_url, set()))

    async def _until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not holds():
                await self.told.wait()
                self.told.clear()


@contextlib.asynccontextmanager
async def streamed(resources: ResourceSet) -> AsyncGenerator[Control]:
    """An Envoy that takes its configuration from a stream, until the block ends."""
    folder = Path(tempfile.mkdtemp(prefix="plait-xds-"))
    control = Control(resources=resources, admin=folder / "admin")
    server = GrpcServer([AdsService(control, deferred=(types.CLUSTER,)).handler()])
    await server.listen(f"unix:{folder}/ads")
    document = bootstrap("default/client", ads_socket=f"{folder}/ads", admin_socket=str(control.admin))
    (folder / "bootstrap.json").write_text(json.dumps(document))
    with (folder / "log").open("w") as log:
        process = await asyncio.create_subprocess_exec(
            str(real.ENVOY), *arguments(str(folder / "bootstrap.json")), stdout=log, stderr=log
        )
        try:
            await control.settled()
            await _listening(control)
            yield control
        finally:
            process.terminate()
            await process.wait()
            await server.close()
    shutil.rmtree(folder)


async def _listening(control: Control) -> None:
    wanted = len(control.resources.of(types.LISTENER))
    async with asyncio.timeout(10):
        while len((await admin(control, "/listeners")).splitlines()) < wanted:  # noqa: ASYNC110 (nothing tells)
            await asyncio.sleep(0.02)


async def admin(control: Control, path: str) -> str:
    """The answer of Envoy's administration interface."""
    return await asyncio.to_thread(live.ask_admin, control.admin, path)


async def get(address: tuple[str, int], path: str = "/", headers: Sequence[tuple[str, str]] = ()) -> live.Answer:
    """One request, without blocking the control side."""
    return await asyncio.to_thread(live.request, address, path, headers=headers)
