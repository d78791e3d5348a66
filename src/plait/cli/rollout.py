"""`plait rollout`: move requests to a new version step by step, as long as it keeps up with the old one.

The HTTPRoute is an ordinary one; how far the rollout is stands in its annotations. So this process may end at any time,
and `--resume`, `--status` and `--abort` work from anywhere.
"""

import signal
from typing import TYPE_CHECKING, Annotated

import typer

from plait.analysis.rollout import Guard
from plait.cli import context, durations, options, rollout_plan
from plait.cli.apply import settled
from plait.cli.errors import UsageError
from plait.cli.output import note, say
from plait.cli.render import Output
from plait.cli.rollout_figures import Counters
from plait.cli.rollout_report import TITLES, line, show
from plait.cli.rollout_route import Route
from plait.cli.rollout_run import Mesh, Rollout, Step
from plait.cli.rollout_state import Phase, State
from plait.errors import DeadlineError

if TYPE_CHECKING:
    from plait.api.client import Client

SETTLE = 30.0
"""Seconds that the proxies have to acknowledge new weights."""

Name = Annotated[str, typer.Argument(metavar="HTTPROUTE", help="The route whose weights are shifted.")]
Old = Annotated[str, typer.Option("--from", metavar="OLD[:PORT]", help="Service of the old version.")]
New = Annotated[str, typer.Option("--to", metavar="NEW[:PORT]", help="Service of the new version.")]
Service = Annotated[
    str, typer.Option("--service", metavar="NAME:PORT", help="Make the route, for this Service, if there is none.")
]
Steps = Annotated[str, typer.Option("--steps", metavar="PERCENTS", help="Shares of the new version in percent.")]
Every = Annotated[str, typer.Option("--every", metavar="TIME", help="How long a step lasts at least.")]
Timeout = Annotated[str, typer.Option("--timeout", metavar="TIME", help="How long a step waits for requests at most.")]
Errors = Annotated[
    str, typer.Option("--max-error-difference", metavar="SHARE", help="How much more of its requests may fail.")
]
Latency = Annotated[
    float, typer.Option("--max-latency-ratio", metavar="TIMES", help="How many times slower it may be.")
]
Requests = Annotated[
    int, typer.Option("--min-requests", metavar="N", help="Requests of each version that a step must have seen.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the rollout of this route.")]
Status = Annotated[bool, typer.Option("--status", help="Show how far it is.")]
Abort = Annotated[bool, typer.Option("--abort", help="Give all requests back to the old version.")]


def rollout(  # noqa: PLR0913 - a typer command: its parameters are its options
    name: Name,
    *,
    namespace: options.Namespace = "default",
    old: Old = "",
    new: New = "",
    service: Service = "",
    steps: Steps = "1,5,25,50,100",
    every: Every = "30s",
    timeout: Timeout = "10m",
    max_error_difference: Errors = "1%",
    max_latency_ratio: Latency = 1.5,
    min_requests: Requests = 20,
    resume: Resume = False,
    status: Status = False,
    abort: Abort = False,
    output: options.Format = Output.TABLE,
) -> int:
    """Shift requests to a new version step by step, guarded by its failures and durations; promote it or roll back.

    Ends with 0 promoted, 1 rolled back, 4 somebody else changed the route, 5 too few requests.
    """
    if resume + status + abort > 1 or ((resume or status or abort) and (old or new or service)):
        raise UsageError("--resume, --status and --abort stand alone", "the route's annotations tell the rest")
    times = rollout_plan.Times(
        steps=rollout_plan.steps(steps), every=durations.seconds(every), timeout=durations.seconds(timeout)
    )
    errors = rollout_plan.share(max_error_difference)
    guard = Guard(max_error_difference=errors, max_latency_ratio=max_latency_ratio, min_requests=min_requests)
    wanted = rollout_plan.Wanted(old=old, new=new, service=service, times=times, guard=guard)
    with context.current().client() as client:
        route = Route(client, namespace, name)
        if status:
            return show(route, rollout_plan.present(route), [], output)
        if abort:
            return _abort(client, route, output)
        if resume:
            return _run(client, route, rollout_plan.resumed(route), output)
        return _run(client, route, State(plan=rollout_plan.begin(client, route, wanted)), output)


def _abort(client: "Client", route: Route, output: Output) -> int:
    state = rollout_plan.in_progress(route).ended(Phase.ABORTED, "aborted by command")
    _settle(client, route.write(state))
    return show(route, state, [], output)


def _run(client: "Client", route: Route, state: State, output: Output) -> int:
    """Run to the end, telling each step; the exit code."""
    told: list[Step] = []
    table = output in (Output.TABLE, Output.WIDE)

    def tell(step: Step) -> None:
        told.append(step)
        if table:
            say(line(step))

    def take(counters: Counters) -> None:
        counters.read(client.edges())

    mesh = Mesh(route=route, read=take, settle=lambda revision: _settle(client, revision))
    running = Rollout(mesh, state, tell)
    if table:
        say(TITLES)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        ended = running.run()
    except KeyboardInterrupt:
        weight = f"{running.state.weight}% to {running.state.plan.new.name}"
        note(f"the route stays at {weight}; go on with `plait rollout {route.name} --resume`, go back with --abort")
        raise
    return show(route, ended, told, output)


def _settle(client: "Client", revision: int) -> None:
    """Wait until the proxies hold it; those that do not answer keep what they had, and are named."""
    try:
        settled(client, revision, SETTLE)
    except DeadlineError as error:
        note(f"note: {error.problem}")
