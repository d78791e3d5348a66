"""One Envoy: started, watched, started again when it dies, adopted by the next agent.

It runs in the workload's network namespace under a user of its own, with the folder `proxy` as its working directory
(see `state`). The agent opens the binary and passes the descriptor, so that an Envoy can be executed by a user who
cannot enter the folders above it. Nothing ties its life to the agent's; the record keeps its process number and start
time. A stopped or slow Envoy is left alone: only its end makes a new one. While there is none, connections to it wait
where the kernel can hand them on (see `doors`), unless it dies again and again. `handover` tells how one Envoy takes
over from another.
"""

import asyncio
import contextlib
import hashlib
import json
import logging
import os
import resource
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from plait.envoy import bootstrap
from plait.errors import NotFoundError, PlaitError, UnreachableError
from plait.node import admin, doors, launches, state
from plait.node.confine import Confinement
from plait.node.processes import ProcessId, identify

log = logging.getLogger(__name__)

_LONGEST_PAUSE: Final = 5.0
_HEALTHY_AFTER: Final = 10.0
_HELD_FOR: Final = 5.0
_QUICK: Final = 1.0
_LOOK_EVERY: Final = 0.05
_LARGEST_LOG: Final = 8 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SidecarPlan:
    """What an Envoy is started with. `uid` 0 or None: as the agent's own user (explicit capture).

    `generation` grows by one with each Envoy that takes over from another. `drain_seconds` is how long connections live
    on when a change ends them. `holds`: its listeners never change, so
    that they may be held open while it is started again.
    """

    proxy: str
    directory: state.WorkloadDirectory
    envoy: Path
    ads_socket: str = state.RELAY_FROM_PROXY
    service: str = ""
    netns: str = ""
    uid: int | None = None
    files: dict[str, str] = field(default_factory=dict[str, str])
    resolvers: tuple[tuple[str, int], ...] = ()
    generation: int = 0
    admin: str = state.ADMIN_FROM_PROXY
    holds: bool = True
    drain_seconds: int = 1

    def build(self) -> str:
        """What tells apart Envoys that are started differently: by another binary, or with another bootstrap."""
        try:
            found = self.envoy.stat()
        except OSError:
            return ""
        common = replace(self, generation=0, admin=state.ADMIN_FROM_PROXY)
        words = (found.st_size, found.st_mtime_ns, *common.arguments())
        return hashlib.sha256(repr(words).encode()).hexdigest()[:16]

    def launch_document(self) -> dict[str, Any]:
        """How the launcher becomes this Envoy."""
        uid = self.uid
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        confinement = Confinement(
            netns=self.netns,
            files=self.files,
            uid=uid,
            gid=uid or 0,
            groups=() if uid is None else (uid,),
            limits={resource.RLIMIT_NOFILE: (most, most)},
            umask=0o077,
        )
        return {
            **confinement.document(),
            "replace": True,
            "command": [str(self.envoy), *self.arguments()],
            "env": {},
            "folder": str(self.directory.proxy),
        }

    def arguments(self) -> tuple[str, ...]:
        """Its command line, after the name of its executable."""
        return bootstrap.arguments(inline=json.dumps(self.bootstrap()), drain_seconds=self.drain_seconds)

    def bootstrap(self) -> dict[str, Any]:
        """Its bootstrap."""
        return bootstrap.bootstrap(
            bootstrap.node_id(self.proxy, self.generation),
            ads_socket=self.ads_socket,
            admin_socket=self.admin,
            service=self.service or self.proxy,
            resolvers=self.resolvers,
        )


class Sidecar:
    """An Envoy and the task that keeps it running.

    `counted` are the statistics of Envoys that were replaced and have ended. `turning` is held while two Envoys listen
    at once: new connections can be led to one of two, not of three. `reached` is the generation that callers are told
    of: that of the Envoy where all new connections arrive.

    `started` is called with every new process; `ended` when one was seen to end, before the next is started, so that
    nothing that the old one had said is taken for the new one's.
    """

    def __init__(
        self, plan: SidecarPlan, *, started: Callable[[ProcessId], Awaitable[None]], ended: Callable[[], None]
    ) -> None:
        self.plan = plan
        self.process: ProcessId | None = None
        self.build = ""
        self.reached = plan.generation
        self.coming: ProcessId | None = None
        self.leaving: tuple[ProcessId, ...] = ()
        self.counted: tuple[str, ...] = ()
        self.restarts = 0
        self._started = started
        self._ended = ended
        self._stopping = False
        self._task: asyncio.Task[None] | None = None
        self._held: doors.Doors | None = None
        self.turning = asyncio.Lock()
        self._changing = asyncio.Lock()

    async def start(self) -> None:
        """Start the Envoy and keep it running from now on."""
        await self._spawn()
        self._keep_running()

    async def adopt(self) -> None:
        """Keep running the Envoy `process` that an earlier agent started; one that has died is started again."""
        if self.process is None or not self.process.alive():
            await self._spawn()
        self._keep_running()

    async def succeed(self, plan: SidecarPlan, process: ProcessId) -> None:
        """Another Envoy serves from now on, and is kept running; the one before serves its last connections."""
        async with self._changing:  # never amid the start of a process
            await self._let_be()
        before = (self.process,) if self.process is not None else ()
        self.plan, self.process, self.build = plan, process, plan.build()
        self.coming, self.leaving = None, (*self.leaving, *before)
        self.let_doors_go()
        self._keep_running()

    async def stop(self, patience: float = 2.0) -> None:
        """End the Envoy for good."""
        self._stopping = True
        others = [other for other in (*self.leaving, self.coming) if other is not None]
        ending = [process.end(patience) for process in (self.process, *others) if process is not None]
        await asyncio.gather(*ending)
        await self.detach()

    async def detach(self) -> None:
        """Leave the Envoy running without being watched."""
        self._stopping = True
        await self._let_be()
        self.let_doors_go()

    def record(self) -> dict[str, Any]:
        """What an agent needs to adopt it."""
        others = {"coming": (self.coming,), "leaving": self.leaving}
        known = {what: [[one.pid, one.started] for one in group if one is not None] for what, group in others.items()}
        envoy = [self.process.pid, self.process.started] if self.process is not None else None
        generations = {"generation": self.plan.generation, "reached": self.reached}
        return {"envoy": envoy, "build": self.build, **generations, **known}

    def let_doors_go(self) -> None:
        """No longer hold its ports open: it closes them itself."""
        if self._held is not None:
            self._held.close()
        self._held = None

    async def live(self) -> bool:
        """Whether it answers on its admin socket and has all its listeners."""
        try:
            return await admin.is_live(self.plan.directory.admin)
        except UnreachableError:
            return False

    def _keep_running(self) -> None:
        self._task = asyncio.create_task(self._keep(), name=f"sidecar {self.plan.proxy}")

    async def _let_be(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _spawn(self) -> None:
        async with self._changing:
            self.plan.directory.admin.unlink(missing_ok=True)
            self.build = self.plan.build()
            self.process = await launch(self.plan)
        if self.process is not None:
            await self._started(self.process)

    async def _keep(self) -> None:
        pause = 0.0
        while not self._stopping:
            since = time.monotonic()
            if self.process is not None:
                await self._until_ended(self.process)
            if self._stopping:
                return
            with contextlib.suppress(NotFoundError):
                self._ended()
            pause = 0.0 if time.monotonic() - since > _HEALTHY_AFTER else min(_LONGEST_PAUSE, pause * 2 + 0.1)
            if pause > _QUICK:
                self.let_doors_go()
            self.restarts += 1
            log.warning("the sidecar of %s ended; starting it again in %.1f s", self.plan.proxy, pause)
            await asyncio.sleep(pause)
            try:
                await self._spawn()
            except OSError as error:
                self.process = None
                log.warning("the sidecar of %s cannot be started: %s", self.plan.proxy, error)

    async def _until_ended(self, process: ProcessId) -> None:
        holding = asyncio.create_task(self._hold(process), name=f"doors of {self.plan.proxy}")
        try:
            await process.ended()
        finally:
            holding.cancel()
            await asyncio.gather(holding, return_exceptions=True)

    async def _hold(self, process: ProcessId) -> None:
        """Hold its ports open from when it listens; only then let go of those of the Envoy before it."""
        try:
            async with asyncio.timeout(_HELD_FOR):
                await self._until_it_listens(process)
            held = None
            if self.plan.holds and await asyncio.to_thread(doors.moves, self.plan.netns):
                held = doors.Doors.of(process)
        except (PlaitError, TimeoutError):
            held = None
        self.let_doors_go()
        self._held = held

    async def _until_it_listens(self, process: ProcessId) -> None:
        while True:
            if doors.ports(process.pid) != frozenset() and await self.live():
                return
            await asyncio.sleep(_LOOK_EVERY)


async def launch(plan: SidecarPlan) -> ProcessId | None:
    """Start an Envoy that nobody watches yet; None if it has ended already."""
    return identify(await asyncio.to_thread(_launch, plan))


def _launch(plan: SidecarPlan) -> int:
    trim(plan.directory.envoy_log)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    output = os.open(plan.directory.envoy_log, flags, 0o600)
    binary = os.open(plan.envoy, os.O_RDONLY | os.O_CLOEXEC)
    nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    try:
        program = binary if os.pread(binary, 4, 0) == b"\x7fELF" else -1  # a script is opened again by its path
        document = {**plan.launch_document(), "program": program}
        return launches.disown(launches.spawn(document, (nothing, output, output), also=[binary]))
    finally:
        for descriptor in (output, binary, nothing):
            os.close(descriptor)


def trim(path: Path) -> None:
    """Keep only the end of a log that has become too large."""
    try:
        if path.stat().st_size > _LARGEST_LOG:
            with path.open("rb+") as file:
                file.seek(-_LARGEST_LOG // 8, os.SEEK_END)
                rest = file.read()
                file.seek(0)
                file.write(rest)
                file.truncate()
    except FileNotFoundError:
        return
