"""From a command line and a route to a plan: which Services, which steps, and what stands in the way."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from plait.analysis.rollout import Guard
from plait.cli.errors import UsageError
from plait.cli.rollout_route import Route, backends_of, made, shifted, weight_of
from plait.cli.rollout_state import Backend, Phase, Plan, State, read
from plait.errors import ConflictError, NotFoundError, RefusedError

if TYPE_CHECKING:
    from plait.api.client import Client


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Steps, and how long they last."""

    steps: tuple[int, ...]
    every: float
    timeout: float


def steps(text: str) -> tuple[int, ...]:
    """Shares in percent, as `1,5,25,50,100`."""
    words = [word.strip() for word in text.split(",")]
    values = tuple(int(word) for word in words if re.fullmatch(r"\d{1,3}", word))
    rising = all(low < high for low, high in pairwise(values))
    if len(values) != len(words) or len(values) < 2 or not rising or values[0] < 1 or values[-1] != 100:
        raise UsageError(f"{text!r} are no steps", "write two or more rising percents that end with 100: 1,10,50,100")
    return values


def share(text: str) -> float:
    """A share, as `1%` or `0.01`."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(%?)", text)
    value = float(found[1]) / (100 if found[2] else 1) if found else -1.0
    if not 0 <= value <= 1:
        raise UsageError(f"{text!r} is no share", "write 1% or 0.01")
    return value


def present(route: Route) -> State:
    """The rollout that a route tells of."""
    document = route.read()
    if document is None:
        raise NotFoundError(f"no httproute {route.namespace}/{route.name}", "see `plait get httproutes -A`")
    if (state := read(document)) is None:
        raise NotFoundError(
            f"httproute {route.namespace}/{route.name} has no rollout", "begin one with --from and --to"
        )
    return state


def in_progress(route: Route) -> State:
    """The rollout of a route that has not ended."""
    state = present(route)
    if state.phase is not Phase.PROGRESSING:
        raise RefusedError(f"the rollout of {route.name} has ended: {state.phase}", "begin one with --from and --to")
    return state


def resumed(route: Route) -> State:
    """The rollout to go on with; ConflictError if the weights are not those of its step any more."""
    state = in_progress(route)
    found = weight_of(route.check(), state.plan.new)
    if found != state.weight:
        raise ConflictError(
            f"the rollout gave {state.plan.new.name} {state.weight}%, but somebody changed that",
            "give all requests back to the old version with --abort, or set the weights back",
        )
    return state


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a command line asks for, in its words."""

    old: str
    new: str
    service: str
    times: Times
    guard: Guard

    def check(self) -> None:
        """UsageError for what no route can mend."""
        if not (self.old and self.new):
            raise UsageError("say which versions", "write --from OLD --to NEW, the names of two Services")
        if self.times.timeout < self.times.every:
            raise UsageError("--timeout is shorter than --every", "let steps wait longer than they last")
        if self.guard.min_requests < 1 or self.guard.max_latency_ratio < 1:
            raise UsageError("--min-requests and --max-latency-ratio are at least 1")


def begin(client: "Client", route: Route, wanted: Wanted) -> Plan:
    """The plan of a new rollout; makes the route if there is none and `--service` says for which Service."""
    wanted.check()
    document = route.read()
    exists = document is not None
    if document is None:
        document, old = _fresh(route, wanted)
    else:
        old = _routed(document, _named(wanted.old, route.namespace, 0), route)
    if (state := read(document)) is not None and state.phase is Phase.PROGRESSING:
        raise RefusedError(
            f"a rollout of {route.name} to {state.plan.new.name} is at {state.weight}%", "use --resume or --abort"
        )
    new = _named(wanted.new, route.namespace, old.port)
    if new == old:
        raise UsageError("--from and --to are the same Service", "each version needs a Service of its own")
    shifted(document, old, new, wanted.times.steps[0])
    for backend in (old, new):
        _check_service(client, backend)
    if not exists:
        route.create(document)
    times = wanted.times
    return Plan(old=old, new=new, steps=times.steps, every=times.every, timeout=times.timeout, guard=wanted.guard)


def _fresh(route: Route, wanted: Wanted) -> tuple[Mapping[str, Any], Backend]:
    """A route for `--service`, and the old version that it sends to."""
    parent = _named(wanted.service, route.namespace, 0)
    if not parent.port:
        raise NotFoundError(
            f"no httproute {route.namespace}/{route.name}", "add --service NAME:PORT to make it for that Service"
        )
    old = _named(wanted.old, route.namespace, parent.port)
    return made(route.name, parent, old), old


def _named(text: str, namespace: str, port: int) -> Backend:
    name, _, given = text.partition(":")
    if given and not given.isdigit():
        raise UsageError(f"{text!r} is no Service", "write NAME or NAME:PORT")
    return Backend(namespace=namespace, name=name, port=int(given or port))


def _routed(document: Mapping[str, Any], wanted: Backend, route: Route) -> Backend:
    """The Service of that name that the route sends to."""
    routed = backends_of(document)
    found = [item for item in routed if item.name == wanted.name and wanted.port in (0, item.port)]
    if len(found) != 1:
        sent = ", ".join(f"{item.name}:{item.port}" for item in routed) or "no Service"
        raise UsageError(
            f"{route.name} does not send to one {wanted.name}, but to {sent}", "name one of them with --from"
        )
    return found[0]


def _check_service(client: "Client", backend: Backend) -> None:
    from plait.api.client import object_path

    found = client.get(object_path("", "v1", "services", namespace=backend.namespace, name=backend.name))
    ports = [int(port["port"]) for port in found["spec"].get("ports", ())]
    if backend.port not in ports:
        listed = ", ".join(str(port) for port in ports) or "none"
        raise UsageError(f"Service {backend.name} has no port {backend.port}; its ports: {listed}", "write NAME:PORT")
