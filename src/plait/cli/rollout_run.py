"""A rollout, step by step: weights, a while of watching, a decision.

Every write is a whole valid route, so that this process may die at any time: requests are shared as last written.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol

from plait.analysis.rollout import Decision, Figures, Verdict, decide
from plait.cli.rollout_figures import Counters
from plait.cli.rollout_state import Phase, State
from plait.errors import DeadlineError, UnreachableError

POLL: Final = 1.0
"""Seconds between two readings of the counters; machines report every two."""


class Routed(Protocol):
    """The route that is shifted."""

    def check(self) -> object:
        """ConflictError if somebody else changed it."""
        ...

    def write(self, state: State) -> int:
        """Put a state into force; the revision."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Time, as tests replace it."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What was seen of one step, and what followed."""

    weight: int
    """The new version's share in percent."""
    old: Figures
    new: Figures
    decision: Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class Mesh:
    """What a rollout does to the mesh: the route, reading counters, waiting for the proxies."""

    route: Routed
    read: Callable[[Counters], None]
    settle: Callable[[int], None]


class Rollout:
    """One rollout in progress; `tell` is called with each step that ended."""

    def __init__(self, mesh: Mesh, state: State, tell: Callable[[Step], None], clock: Clock | None = None) -> None:
        self._mesh = mesh
        self._tell = tell
        self._clock = clock or Clock()
        self._counters = Counters((state.plan.old, state.plan.new))
        self.state = state

    def run(self) -> State:
        """All steps from the state's on; how it ended. DeadlineError for lack of requests."""
        self._mesh.read(self._counters)
        for index in range(self.state.step, len(self.state.plan.steps)):
            self._put(replace(self.state, step=index))
            step = self._watch()
            self._tell(step)
            if step.decision.verdict is Verdict.ROLL_BACK:
                return self._put(self.state.ended(Phase.ROLLED_BACK, step.decision.reason))
            if step.decision.verdict is Verdict.WAIT:
                self._lacking(step)
            if step.old.requests >= self.state.plan.guard.min_requests:
                self.state = replace(self.state, reference=step.old)
        return self._put(self.state.ended(Phase.PROMOTED, "the new version kept to the guard in every step"))

    def _put(self, state: State) -> State:
        self._mesh.settle(self._mesh.route.write(state))
        self.state = state
        return state

    def _watch(self) -> Step:
        plan, began = self.state.plan, self._clock.now()
        self._mesh.read(self._counters)
        self._counters.restart()
        while True:
            self._clock.sleep(POLL)
            passed = self._clock.now() - began
            expired = passed >= plan.timeout
            if not self._look(last=expired):
                continue
            old, new = self._counters.figures(plan.old), self._counters.figures(plan.new)
            if old.requests < plan.guard.min_requests <= self.state.reference.requests:
                old = self.state.reference
            decision = decide(old, new, plan.guard, complete=passed >= plan.every, expired=expired)
            if expired or decision.verdict is not Verdict.WAIT:
                return Step(weight=self.state.weight, old=old, new=new, decision=decision)

    def _look(self, *, last: bool) -> bool:
        """Read the counters; False while control does not answer, as when it is started anew."""
        try:
            self._mesh.route.check()
            self._mesh.read(self._counters)
        except UnreachableError:
            if last:
                raise
            return False
        return True

    def _lacking(self, step: Step) -> None:
        raise DeadlineError(
            f"{step.decision.reason}; the route stays at {step.weight}% to the new version",
            "send requests and go on with --resume, or go back with --abort",
        )
