"""The life of a workload, as pure decisions: which phase follows, and what is published when.

    Pending ──> Warming ──> Running ──> Draining ──> Exited
                               ^            │ the app took no notice of the signal
                               └────────────┘

The endpoint is published only while the workload runs and its app answers: back only when the sidecar's listeners and
the app are there, away before anything ends.
"""

import signal
from dataclasses import dataclass, replace
from typing import Final

from plait.node.registration import Phase

ORDER: Final = (Phase.PENDING, Phase.WARMING, Phase.RUNNING, Phase.DRAINING, Phase.EXITED)
IMPATIENCE: Final = 10.0
"""Seconds after a signal of the user's after which an app that lives on is published again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """Where a workload stands. `answering` is what its probe says, `insisting` that it must end in the end."""

    phase: Phase = Phase.PENDING
    answering: bool = False
    insisting: bool = False
    pid: int = 0
    code: int | None = None

    @property
    def published(self) -> bool:
        """Whether callers may be sent to it."""
        return self.phase is Phase.RUNNING and self.answering

    def warming(self) -> "Life":
        """Its sidecar is started and takes its configuration."""
        return self._forward(Phase.WARMING)

    def running(self, pid: int) -> "Life":
        """Its app runs."""
        return replace(self._forward(Phase.RUNNING), pid=pid)

    def probed(self, *, answering: bool) -> "Life":
        """Its probe gave another answer."""
        return replace(self, answering=answering)

    def draining(self, *, insisting: bool) -> "Life":
        """It is to end; `insisting` if a signal may not be ignored."""
        if self.phase is Phase.EXITED:
            return self
        return replace(self, phase=Phase.DRAINING, insisting=self.insisting or insisting)

    def survived(self) -> "Life":
        """The app took no notice of a signal that it may ignore, and serves on."""
        return replace(self, phase=Phase.RUNNING) if self.phase is Phase.DRAINING and not self.insisting else self

    def exited(self, code: int) -> "Life":
        """Its app is gone."""
        return replace(self, phase=Phase.EXITED, code=code)

    def _forward(self, phase: Phase) -> "Life":
        return self if ORDER.index(self.phase) >= ORDER.index(phase) else replace(self, phase=phase)


def must_end(number: int, *, asked_by_user: bool) -> bool:
    """Whether a workload that got a signal is killed if it stays: not where the user sent the signal to the app."""
    return not asked_by_user or number == signal.SIGKILL
