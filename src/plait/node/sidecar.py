"""One Envoy: started, watched, started again when it dies, adopted by the next agent.

It runs in the workload's network namespace under a user of its own, with the folder `proxy` as its working directory
(see `state`). The agent opens the binary and passes the descriptor, so that an Envoy can be executed by a user who
cannot enter the folders above it. Nothing ties its life to the agent's; the record keeps its process number and start
time. A stopped or slow Envoy is left alone: only its end makes a new one.
"""

import asyncio
import contextlib
import json
import logging
import os
import resource
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from plait.envoy import bootstrap
from plait.errors import NotFoundError, UnreachableError
from plait.node import admin, launches, state
from plait.node.confine import Confinement
from plait.node.processes import ProcessId, identify

log = logging.getLogger(__name__)

_LONGEST_PAUSE: Final = 5.0
_HEALTHY_AFTER: Final = 10.0
_LARGEST_LOG: Final = 8 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SidecarPlan:
    """What an Envoy is started with. `uid` 0 or None: as the agent's own user (explicit capture)."""

    proxy: str
    directory: state.WorkloadDirectory
    envoy: Path
    ads_socket: str = state.RELAY_FROM_PROXY
    service: str = ""
    netns: str = ""
    uid: int | None = None
    files: dict[str, str] = field(default_factory=dict[str, str])
    resolvers: tuple[tuple[str, int], ...] = ()

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
            "command": [str(self.envoy), *bootstrap.arguments(inline=json.dumps(self.bootstrap()))],
            "env": {},
            "folder": str(self.directory.proxy),
        }

    def bootstrap(self) -> dict[str, Any]:
        """Its bootstrap."""
        return bootstrap.bootstrap(
            self.proxy,
            ads_socket=self.ads_socket,
            admin_socket=state.ADMIN_FROM_PROXY,
            service=self.service,
            resolvers=self.resolvers,
        )


class Sidecar:
    """An Envoy and the task that keeps it running.

    `started` is called with every new process; `ended` when one was seen to end, before the next is started, so that
    nothing that the old one had said is taken for the new one's.
    """

    def __init__(
        self, plan: SidecarPlan, *, started: Callable[[ProcessId], Awaitable[None]], ended: Callable[[], None]
    ) -> None:
        self.plan = plan
        self.process: ProcessId | None = None
        self.restarts = 0
        self._started = started
        self._ended = ended
        self._leaving = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the Envoy and keep it running from now on."""
        await self._spawn()
        self._task = asyncio.create_task(self._keep(), name=f"sidecar {self.plan.proxy}")

    async def adopt(self, process: ProcessId | None) -> None:
        """Take over the Envoy that an earlier agent started; one that has died is started again."""
        if process is not None and process.alive():
            self.process = process
        else:
            await self._spawn()
        self._task = asyncio.create_task(self._keep(), name=f"sidecar {self.plan.proxy}")

    async def stop(self, patience: float = 2.0) -> None:
        """End the Envoy for good."""
        self._leaving = True
        if self.process is not None:
            await self.process.end(patience)
        await self.detach()

    async def detach(self) -> None:
        """Leave the Envoy running without being watched."""
        self._leaving = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def live(self) -> bool:
        """Whether it answers on its admin socket and has all its listeners."""
        try:
            return await admin.is_live(self.plan.directory.admin)
        except UnreachableError:
            return False

    async def _spawn(self) -> None:
        self.plan.directory.admin.unlink(missing_ok=True)
        pid = await asyncio.to_thread(self._launch)
        self.process = identify(pid)
        if self.process is not None:
            await self._started(self.process)

    def _launch(self) -> int:
        trim(self.plan.directory.envoy_log)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        output = os.open(self.plan.directory.envoy_log, flags, 0o600)
        binary = os.open(self.plan.envoy, os.O_RDONLY | os.O_CLOEXEC)
        nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        try:
            program = binary if os.pread(binary, 4, 0) == b"\x7fELF" else -1  # a script is opened again by its path
            document = {**self.plan.launch_document(), "program": program}
            return launches.disown(launches.spawn(document, (nothing, output, output), also=[binary]))
        finally:
            for descriptor in (output, binary, nothing):
                os.close(descriptor)

    async def _keep(self) -> None:
        pause = 0.0
        while not self._leaving:
            since = time.monotonic()
            if self.process is not None:
                await self.process.ended()
            if self._leaving:
                return
            with contextlib.suppress(NotFoundError):
                self._ended()
            pause = 0.0 if time.monotonic() - since > _HEALTHY_AFTER else min(_LONGEST_PAUSE, pause * 2 + 0.1)
            self.restarts += 1
            log.warning("the sidecar of %s ended; starting it again in %.1f s", self.plan.proxy, pause)
            await asyncio.sleep(pause)
            try:
                await self._spawn()
            except OSError as error:
                self.process = None
                log.warning("the sidecar of %s cannot be started: %s", self.plan.proxy, error)


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
