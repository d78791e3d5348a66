"""What `plait rollout` prints: a line a step and a sentence at the end, or all of it as JSON."""

from dataclasses import asdict
from typing import Any, Final

from plait.cli.errors import ExitCode
from plait.cli.output import say
from plait.cli.render import Output, show_value
from plait.cli.rollout_route import Route
from plait.cli.rollout_run import Step
from plait.cli.rollout_state import Phase, State

_FORM: Final = "{:<8} {:>11} {:>13} {:>13} {:>13}  {}"
TITLES: Final = _FORM.format("OLD/NEW", "REQUESTS", "FAILED", "P50 MS", "P99 MS", "DECISION")


def show(route: Route, state: State, told: list[Step], output: Output) -> int:
    """Print how a rollout is, or how it ended; the exit code."""
    plan = state.plan
    if output in (Output.JSON, Output.YAML):
        show_value(report(route, state, told), output)
    elif state.phase is Phase.PROGRESSING:
        say(
            f"httproute/{route.name} is at {state.weight}% to {plan.new.name},"
            f" step {state.step + 1} of {len(plan.steps)}"
        )
    else:
        did, all_to = {
            Phase.PROMOTED: ("promoted", plan.new.name),
            Phase.ROLLED_BACK: ("rolled back", plan.old.name),
            Phase.ABORTED: ("aborted", plan.old.name),
        }[state.phase]
        say(f"httproute/{route.name} {did}, all requests go to {all_to}: {state.reason}")
    return ExitCode.FOUND if told and state.phase is Phase.ROLLED_BACK else ExitCode.DONE


def report(route: Route, state: State, told: list[Step]) -> dict[str, Any]:
    """What `-o json` prints."""
    return {
        "route": route.name,
        "namespace": route.namespace,
        "from": state.plan.old.name,
        "to": state.plan.new.name,
        "phase": state.phase.value,
        "weight": state.weight,
        "reason": state.reason,
        "steps": [
            {
                "weight": step.weight,
                "old": asdict(step.old),
                "new": asdict(step.new),
                "decision": step.decision.verdict.value,
                "reason": step.decision.reason,
            }
            for step in told
        ],
    }


def line(step: Step) -> str:
    """A step's line, old/new in each column."""

    def pair(old: object, new: object) -> str:
        return f"{old}/{new}"

    def time(value: float | None) -> str:
        return "-" if value is None else f"{value:.1f}"

    old, new = step.old, step.new
    return _FORM.format(
        pair(100 - step.weight, step.weight),
        pair(old.requests, new.requests),
        pair(f"{100 * old.error_rate:.1f}%", f"{100 * new.error_rate:.1f}%"),
        pair(time(old.p50), time(new.p50)),
        pair(time(old.p99), time(new.p99)),
        f"{step.decision.verdict.value}: {step.decision.reason}",
    )
