"""What each machine's agent last said of itself: its version and its clock, for `plait doctor`."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineHealth:
    """One machine: its agent's version, by how many seconds its clock is ahead of control's, and when it said so."""

    version: str
    ahead: float
    heard: float


class MachineReports:
    """The newest report of each machine."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._reports: dict[str, MachineHealth] = {}

    def take(self, node: str, said: Mapping[str, Any]) -> None:
        """Take what came with a machine's question for settings; an agent of an older version says nothing."""
        moment = said.get("clock")
        now = self._clock()
        ahead = float(moment) - now if isinstance(moment, int | float) else 0.0
        self._reports[node] = MachineHealth(version=str(said.get("version") or ""), ahead=ahead, heard=now)

    def all(self) -> Mapping[str, MachineHealth]:
        """The reports by machine."""
        return dict(self._reports)
