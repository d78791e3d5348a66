"""How control grows: with services, routes, policies and endpoints (in this process), and with sidecars (live).

In this process a change is taken as control takes it: parsed, built, published to 200 proxies that are connected, of
which it concerns a few. Live, control is a real one, and the sidecars are streams with mutual TLS that other processes
hold, over a connection a machine (`growth_live`). Counted there are the CPU of building, all CPU of the process,
the time from sending a change to the API until each concerned sidecar has taken it, and what a restart sends again.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from bench import growth_mesh
from bench.control import cpu_of, parsed
from bench.growth_live import Event, Live, last_of_each, until
from bench.growth_mesh import NAMESPACE, Size
from bench.rows import Row
from plait.controlplane.publisher import Publisher
from plait.envoy.resource_set import ResourceSet
from plait.snapshot.build import Builder

HEADLINE: Final = Size(services=1000, routes=2000, policies=200, endpoints=2000, sidecars=1000, machines=100)
"""Ten sidecars on a machine, which share its connection."""
HERD: Final = replace(HEADLINE, machines=1000)
"""As many connections, and handshakes after a restart, as sidecars."""
FULL: Final = (
    HEADLINE,
    HERD,
    *(replace(HEADLINE, sidecars=number, machines=number // 10) for number in (100, 300, 2000)),
)
QUICK: Final = (Size(services=200, routes=400, policies=40, endpoints=400, sidecars=100, machines=10),)
_CONNECTED: Final = 200
_ROUNDS: Final = 7
_QUIET: Final = 3
"""Half seconds without a response after which a change has been taken everywhere."""
_WORKLOADS: Final = f"/apis/networking.istio.io/v1/namespaces/{NAMESPACE}/workloadentries"
_ROUTES: Final = f"/apis/gateway.networking.k8s.io/v1/namespaces/{NAMESPACE}/httproutes"

FEW: Final = 7
"""The service that a few call."""
ALL: Final = 0
"""The service that everybody calls."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A change that was taken everywhere: milliseconds of CPU (building; all of the process), seconds until taken."""

    build: float
    cpu: float
    delays: tuple[float, ...]


def rows(sizes: Sequence[Size], *, tables: bool) -> Iterator[Row]:
    """All rows: live ones for these sizes, and with `tables` those of growth in this process."""
    for size in sizes:
        yield from live_rows(size)
    if tables:
        for size in growing():
            yield from building_rows(size)


# in this process


def growing() -> Iterator[Size]:
    """A mesh that grows in one direction after the other."""
    base = replace(HEADLINE, sidecars=_CONNECTED)
    yield from (replace(base, services=number, routes=2 * number, endpoints=2 * number) for number in (250, 500, 2000))
    yield from (replace(base, routes=number) for number in (1000, 4000))
    yield from (replace(base, policies=number) for number in (0, 2000))
    yield from (replace(base, endpoints=number) for number in (1000, 10000))


def building_rows(size: Size) -> Iterator[Row]:
    """The rows of one size: everything at once, one endpoint, one route."""
    builder, documents = Builder(), parsed(growth_mesh.documents(size))
    whole = cpu_of(lambda: builder.update(documents))
    yield Row(name=f"build of {size}", value=whole, unit="s CPU")
    publisher = Publisher(_send_nothing, builder.snapshot)
    for proxy, machine, hosts in growth_mesh.proxies(size):
        publisher.connect(proxy, machine)
        publisher.demand(proxy, frozenset(hosts))
    for name, document in (("endpoint", _workload), ("route", _route)):
        readings: list[float] = []
        for turn in range(_ROUNDS):
            changed = document(FEW, size, turn)
            readings.append(1000 * cpu_of(lambda item=changed: _take(builder, publisher, item)))
        yield _build_row(f"  one {name}", readings)


def _send_nothing(_proxy: str, _resources: ResourceSet, _demand: frozenset[str]) -> None:
    """Only what it costs to know what is to be sent is measured here."""


def _take(builder: Builder, publisher: Publisher, document: dict[str, Any]) -> None:
    built = builder.update(parsed([document]))
    publisher.update(built.snapshot, built.touched, revision=builder.snapshot.revision)


def _workload(service: int, size: Size, turn: int) -> dict[str, Any]:
    last = service + size.services * (size.endpoints // size.services - 1)
    changed = growth_mesh.workload(last, size.services, size.machines)
    changed["metadata"]["annotations"]["plait.dev/ready"] = "true" if turn % 2 else "false"
    return changed


def _route(service: int, size: Size, turn: int) -> dict[str, Any]:
    return growth_mesh.route(service, size.services, weight=20 + turn)


def _build_row(name: str, readings: Sequence[float]) -> Row:
    value = statistics.median(readings)
    spread = f"{min(readings):.3g}..{max(readings):.3g}"
    return Row(name=name, value=value, unit="ms build CPU", spread=spread, must="< 20", holds=value < 20)


# live


def live_rows(size: Size, *, rounds: int = _ROUNDS) -> Iterator[Row]:
    """The rows of one size over real streams."""
    with tempfile.TemporaryDirectory(prefix="plait-growth-") as folder, Live(Path(folder), size) as live:
        yield Row(name=f"live: {size}; control starts", value=live.start(), unit="s")
        live.connect()
        yield from _connecting(live)
        for name, body in _changes(size):
            yield from _change_rows(name, [_change(live, body(turn)) for turn in range(rounds)])
        memory = live.figures().memory.resident
        yield Row(name="  control's memory", value=memory, unit="MB resident", must="< 300", holds=memory < 300)
        yield from _restart(live)


def _connecting(live: Live) -> Iterator[Row]:
    first: list[Event] = []
    until(lambda: bool(first.extend(live.take()) or first), "no sidecar was sent anything")
    before = live.figures().cpu
    live.synced()
    first += live.take()
    took = max(event.at for event in first) - min(event.at for event in first)
    cpu = live.figures().cpu - before
    yield Row(name="  first synchronisation of all", value=took, unit="s", spread=f"{cpu:.2g} s CPU")


Patch = Callable[[int], tuple[str, Mapping[str, Any], str]]
"""From the round to a path, what to merge, and the type of the response that brings it."""


def _changes(size: Size) -> Iterator[tuple[str, Patch]]:
    for callers, service in (("a few", FEW), ("all", ALL)):

        def endpoint(turn: int, service: int = service) -> tuple[str, Mapping[str, Any], str]:
            document = _workload(service, size, turn)
            body = {"metadata": {"annotations": document["metadata"]["annotations"]}}
            return f"{_WORKLOADS}/{document['metadata']['name']}", body, "ClusterLoadAssignment"

        def route(turn: int, service: int = service) -> tuple[str, Mapping[str, Any], str]:
            document = _route(service, size, turn)
            return f"{_ROUTES}/{document['metadata']['name']}", {"spec": document["spec"]}, "RouteConfiguration"

        yield f"one endpoint, called by {callers}", endpoint
        yield f"one route, called by {callers}", route


def _change(live: Live, change: tuple[str, Mapping[str, Any], str]) -> Taken:
    """Make a change and wait until nothing has come for a while."""
    path, body, kind = change
    live.take()
    before = live.figures()
    sent = live.patch(path, body)
    events: list[Event] = []
    quiet = 0
    while quiet < _QUIET:
        time.sleep(0.5)
        more = live.take()
        events += more
        quiet = quiet + 1 if events and not more else 0
        if time.monotonic() > sent + 20:
            raise RuntimeError(f"no sidecar took the change of {path}, or they never come to rest")
    after = live.figures()
    delays = tuple(at - sent for at in last_of_each(events, kind).values())
    return Taken(
        build=1000 * (after.build_seconds - before.build_seconds), cpu=1000 * (after.cpu - before.cpu), delays=delays
    )


def _change_rows(name: str, taken: Sequence[Taken]) -> Iterator[Row]:
    build = statistics.median(item.build for item in taken)
    cpu = statistics.median(item.cpu for item in taken)
    delays = sorted(delay for item in taken for delay in item.delays)
    middle, late = statistics.median(delays), delays[int(0.99 * (len(delays) - 1))]
    sidecars = round(len(delays) / len(taken))
    yield Row(
        name=f"  {name} ({sidecars})",
        value=build,
        unit="ms build CPU",
        spread=f"{cpu:.0f} ms CPU in all",
        must="< 20" if sidecars < 20 else "",
        holds=build < 20 if sidecars < 20 else None,
    )
    yield Row(name="    taken by half", value=middle, unit="s", must="< 0.8", holds=middle < 0.8)
    yield Row(name="    taken by 99 %", value=late, unit="s", must="< 2", holds=late < 2)


def _restart(live: Live) -> Iterator[Row]:
    """Control dies and is started at once: when everything is synchronised, and what was sent again."""
    live.take()
    died = time.monotonic()
    live.kill()
    live.start()
    took = live.synced() - died
    again = sum(event.resources for event in live.take())
    yield Row(name="  kill -9 until all are synchronised", value=took, unit="s", must="< 20", holds=took < 20)
    yield Row(name="  resources sent again", value=again, unit="", must="0", holds=again == 0)


def part(*, quick: bool) -> Iterator[Row]:
    """The rows of `python -m bench growth`; quick ones say only that everything works."""
    yield from rows(QUICK if quick else FULL, tables=not quick)
