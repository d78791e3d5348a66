"""What control adds to the API for those who operate it: its own health, and a backup while it works.

A backup holds the authority's keys. It is given over the unix socket alone, which only the mesh's owner can open: a
token that leaked cannot fetch it.
"""

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field
from starlette.background import BackgroundTask

from plait import __version__
from plait.api.guard import is_unix
from plait.controlplane import backup
from plait.controlplane.machine_health import MachineHealth
from plait.controlplane.state import StateDirectory
from plait.errors import ForbiddenError
from plait.store.store import KeptStore

Reports = Callable[[], Awaitable[Mapping[str, MachineHealth]]]
"""What each machine's agent last said of itself."""


class StoreHealth(BaseModel):
    """The store: its newest revision, how many objects it holds, its file's size in bytes, what is wrong with it.

    One that is `shared` with other controls has no file here.
    """

    revision: int
    objects: int
    size: int
    problems: tuple[str, ...]
    shared: bool = False


class ReportedMachine(BaseModel):
    """A machine: its agent's version, how far its clock is ahead of control's and how long ago it said so, seconds."""

    name: str
    version: str
    ahead: float
    age: float


class Health(BaseModel):
    """The control process: its version, its clock in seconds since 1970, its process, its store, and its machines."""

    version: str
    time: float
    pid: int
    store: StoreHealth = Field(description="the store, as SQLite checks it or as etcd is heard of")
    machines: tuple[ReportedMachine, ...] = ()


def add_operation_routes(app: FastAPI, state: StateDirectory, store: KeptStore, reports: Reports) -> None:
    """Add the routes."""

    @app.get("/plait/v1/health")
    async def health() -> Health:
        """Version, clock and store of the control process."""
        summary = await store.summary()
        checked = StoreHealth(
            revision=summary.revision,
            objects=summary.objects,
            size=summary.size,
            problems=summary.problems,
            shared=summary.shared,
        )
        now = time.time()
        machines = tuple(
            ReportedMachine(name=name, version=said.version, ahead=said.ahead, age=now - said.heard)
            for name, said in sorted((await reports()).items())
        )
        return Health(version=__version__, time=now, pid=os.getpid(), store=checked, machines=machines)

    @app.post("/plait/v1/backup", response_class=FileResponse)
    async def take_backup(request: Request) -> FileResponse:
        """A tar archive of objects, authority, tokens and settings, all of one moment; over the unix socket only."""
        if not is_unix(request.scope):
            raise ForbiddenError(
                "a backup holds the mesh's keys and is given on control's own machine only", "run `plait backup` there"
            )
        target = await _taken(state, store)
        return FileResponse(target, media_type="application/x-tar", background=BackgroundTask(target.unlink))


async def _taken(state: StateDirectory, store: KeptStore) -> Path:
    folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix=backup.STAGING, dir=state.control))
    target = folder.with_suffix(".tar")
    try:
        await store.copy_to(folder / "store")
        await asyncio.to_thread(backup.take, state, target, (folder / "store").rename)
    finally:
        await asyncio.to_thread(shutil.rmtree, folder)
    return target
