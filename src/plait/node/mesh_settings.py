"""What this machine must know of the mesh as a whole: roots, grants, the gateways' ports. Kept on disk, asked again.

Control is asked every few seconds. Its answer is kept, so that a restarted agent knows who may run as whom while
control is away. A changed trust bundle is handed to every Envoy at once.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from plait import __version__
from plait.errors import PlaitError
from plait.identity.attestation import Grant
from plait.node.renewal import Signing
from plait.node.state import read_json, write_json

log = logging.getLogger(__name__)

EVERY: Final = 3.0
LOOK_EVERY: Final = 0.5


class Source(Protocol):
    """Whom the settings come from."""

    async def settings(self, holds: Mapping[str, Any]) -> Mapping[str, Any]:
        """What a machine must know; `holds` tells which certificates and roots are in use there."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One answer of control."""

    bundle: bytes = b""
    signing: Signing = field(default_factory=Signing)
    grants: tuple[Grant, ...] = ()
    gateways: Mapping[str, tuple[int, ...]] = field(default_factory=dict[str, tuple[int, ...]])
    controls: tuple[str, ...] = ()
    """Where the controls answer machines, if there are several."""
    restored: str = ""
    """Which restore control's store comes from, empty if from none."""
    restored_workloads: tuple[str, ...] = ()
    """Workloads of this machine, `NAMESPACE/NAME`, that the backup knew."""


def parse(document: Mapping[str, Any]) -> Settings:
    """The settings in an answer; a grant that is not understood gives nothing."""
    ports: Mapping[str, Iterable[int]] = document.get("gateways") or {}
    return Settings(
        bundle=str(document.get("bundle") or "").encode(),
        signing=Signing.of(document.get("signing") or {}),
        grants=tuple(grant for item in document.get("grants") or () if (grant := _grant(item)) is not None),
        gateways={name: tuple(int(port) for port in listed) for name, listed in ports.items()},
        controls=tuple(str(address) for address in document.get("controls") or ()),
        restored=str(document.get("restored") or ""),
        restored_workloads=tuple(str(name) for name in document.get("restoredWorkloads") or ()),
    )


def _grant(item: Mapping[str, Any]) -> Grant | None:
    try:
        uid = item.get("uid")
        return Grant(
            allow=tuple(str(identity) for identity in item["allow"]),
            uid=None if uid is None else int(uid),
            executable=str(item.get("executable") or ""),
            cgroup=str(item.get("cgroup") or ""),
        )
    except (KeyError, TypeError, ValueError):
        return None


class MeshSettings:
    """The newest settings; `changed` are called when control says something new.

    `holds` tells what certificates and roots are in use here; control is told with each question.
    """

    def __init__(self, source: Source, path: Path) -> None:
        self._source = source
        self._path = path
        self.current = parse(read_json(path))
        self.changed: list[Callable[[], None]] = []
        self.holds: Callable[[], Mapping[str, Any]] = dict
        self._told: Mapping[str, Any] = {}

    async def refresh(self) -> Settings:
        """Ask control now; what is known stays while it does not answer."""
        holds = self.holds()
        try:
            document = await self._source.settings({**holds, "version": __version__, "clock": time.time()})
        except PlaitError as error:
            log.debug("the mesh's settings are as before: %s", error)
            return self.current
        self._told = holds
        before, self.current = self.current, parse(document)
        if self.current != before:
            for listener in self.changed:
                listener()
            await asyncio.to_thread(write_json, self._path, dict(document))
        return self.current

    async def keep_fresh(self) -> None:
        """Ask again for ever; sooner when there is something to tell."""
        while True:
            await self.refresh()
            for _ in range(round(EVERY / LOOK_EVERY)):
                await asyncio.sleep(LOOK_EVERY)
                if self.holds() != self._told:
                    break
