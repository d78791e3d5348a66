"""What a rollout is and how far it is, kept in annotations of its HTTPRoute, so that anybody may go on with it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Final

from plait.analysis.rollout import Figures, Guard
from plait.cli.errors import CheckError
from plait.cli.fields import part

PREFIX: Final = "rollout.plait.dev/"
_PHASE, _PLAN, _STEP, _REFERENCE, _REASON = (PREFIX + name for name in ("phase", "plan", "step", "reference", "reason"))

NOTHING: Final = Figures()


class Phase(StrEnum):
    """How a rollout is."""

    PROGRESSING = "Progressing"
    PROMOTED = "Promoted"
    ROLLED_BACK = "RolledBack"
    ABORTED = "Aborted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """A port of a Service that requests are sent to."""

    namespace: str
    name: str
    port: int

    def is_called(self, service: str) -> bool:
        """Whether a sidecar's statistics mean this one: `NAME.NAMESPACE.svc.DOMAIN:PORT`."""
        host, _, port = service.rpartition(":")
        return host.startswith(f"{self.name}.{self.namespace}.svc.") and port == str(self.port)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be done."""

    old: Backend
    new: Backend
    steps: tuple[int, ...]
    """Shares of the new version in percent, rising to 100."""
    every: float
    """Seconds that a step lasts at least."""
    timeout: float
    """Seconds that a step waits for requests at most."""
    guard: Guard


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """How far a rollout is."""

    plan: Plan
    phase: Phase = Phase.PROGRESSING
    step: int = 0
    """The step that its weights are of."""
    reference: Figures = NOTHING
    """The old version's figures of the last step in which it had enough requests."""
    reason: str = ""

    @property
    def weight(self) -> int:
        """The new version's share in percent."""
        if self.phase is Phase.PROGRESSING:
            return self.plan.steps[self.step]
        return 100 if self.phase is Phase.PROMOTED else 0

    def ended(self, phase: Phase, reason: str) -> "State":
        """The state at the end."""
        return replace(self, phase=phase, reason=reason)


def annotations(state: State) -> dict[str, str]:
    """The annotations that say it."""
    return {
        _PHASE: state.phase.value,
        _PLAN: json.dumps(asdict(state.plan)),
        _STEP: str(state.step),
        _REFERENCE: json.dumps(asdict(state.reference)),
        _REASON: state.reason,
    }


def read(document: Mapping[str, Any]) -> State | None:
    """The rollout that a route's annotations tell of; None without one, CheckError if they are damaged."""
    found = part(part(document, "metadata"), "annotations")
    if _PHASE not in found:
        return None
    try:
        plan = json.loads(found[_PLAN])
        state = State(
            plan=Plan(
                old=Backend(**plan["old"]),
                new=Backend(**plan["new"]),
                steps=tuple(int(step) for step in plan["steps"]),
                every=float(plan["every"]),
                timeout=float(plan["timeout"]),
                guard=Guard(**plan["guard"]),
            ),
            phase=Phase(found[_PHASE]),
            step=int(found[_STEP]),
            reference=Figures(**json.loads(found[_REFERENCE])),
            reason=str(found.get(_REASON, "")),
        )
        _ = state.weight
    except (KeyError, ValueError, TypeError, IndexError) as error:
        problem = f"the annotations {PREFIX}... of the route are damaged: {type(error).__name__}: {error}"
        raise CheckError(problem, "remove them and set the weights by hand") from None
    return state
