"""The app of a workload, through its launcher: what it is started with, commands beside it, what is left of it."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from plait.node import launches, netns
from plait.node.callers import Caller, User
from plait.node.confine import Confinement
from plait.node.habitat import Habitat
from plait.node.processes import identify
from plait.node.state import WorkloadDirectory

_LEFT_WITHIN: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stdio:
    """The standard files of an app, owned until `close`."""

    fds: tuple[int, int, int]
    terminal: bool = False

    def copied(self) -> "Stdio":
        """Copies of the same files."""
        first, second, third = (os.dup(fd) for fd in self.fds)
        return Stdio(fds=(first, second, third), terminal=self.terminal)

    def close(self) -> None:
        """Let go of them; the launcher has its own."""
        for fd in set(self.fds):
            os.close(fd)


def logged(path: Path, user: User | None) -> Stdio:
    """The standard files of a detached app: nothing to read, and a log that its user may read."""
    nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    output = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    if user is not None:
        os.fchown(output, user.uid, user.gid)
    return Stdio(fds=(nothing, output, output))


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where and as whom the app and commands beside it run. `hidden` are the agent's own folders."""

    directory: WorkloadDirectory
    habitat: Habitat
    user: User | None
    hidden: tuple[str, ...] = ()

    def confinement(self, caller: Caller | None, umask: int) -> Confinement:
        """What a process in this place is confined to; without a user (an ordinary user's agent) to nothing."""
        if self.user is None:
            return Confinement(umask=umask)
        apart = bool(self.habitat.netns)
        return Confinement(
            netns=self.habitat.netns,
            files=self.habitat.files if apart else {},
            hide=self.hidden,
            uid=self.user.uid,
            gid=self.user.gid,
            groups=self.user.groups,
            limits=caller.limits if caller else {},
            umask=umask,
        )

    def document(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        folder: str,
        caller: Caller | None = None,
        **more: Any,
    ) -> dict[str, Any]:
        """The launch document of a command in this place."""
        return {
            **self.confinement(caller, int(more.pop("umask", 0o022))).document(),
            "command": list(command),
            "env": {**environment, **self.habitat.environment()},
            "cwd": folder,
            **more,
        }


async def execute_probe(place: Place, command: str, environment: Mapping[str, str], folder: str) -> int:
    """Run a shell command in the place, with nothing to read and nowhere to print; its exit code."""
    document = place.document(["/bin/sh", "-c", command], environment=environment, folder=folder, replace=True)
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        process = launches.spawn(document, (nothing, nothing, nothing))
    finally:
        os.close(nothing)
    identity = identify(process.pid)
    try:
        if identity is not None:
            await identity.ended(collected=False)
        return process.wait()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


async def end_leftovers(habitat: Habitat, *, without: Sequence[int] = ()) -> None:
    """End every process that still lives in a place, politely first."""
    if not habitat.netns:
        return
    name = Path(habitat.netns).name
    for number in (signal.SIGTERM, signal.SIGKILL):
        found = [pid for pid in await asyncio.to_thread(netns.processes, name) if pid not in without]
        left = [identity for identity in map(identify, found) if identity is not None]
        for identity in left:
            identity.send(number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LEFT_WITHIN):
                for identity in left:
                    await identity.ended()
