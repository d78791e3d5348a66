"""Callers follow a server's change when its proxy holds it, and not before."""

import asyncio
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, field

from plait.controlplane.servers import LIMIT, Servers
from plait.model.snapshot import Snapshot
from plait.model.traffic import ClusterKey
from plait.model.view import InboundMode
from plait.resources.parse import Resource
from plait.snapshot.build import Builder
from tests.snapshot.resources_builders import authorization_policy, name_of, service, workload

KEY = ClusterKey(service=name_of("web"), port=80)
MESH = (service("web"), workload("web", "10.0.0.1"), workload("web-2", "10.0.0.2", app="web"))
NEEDS_REQUESTS = authorization_policy("a", {"to": [{"operation": {"paths": ["/x"]}}]})


@dataclass
class Followed:
    """A mesh whose servers' proxies acknowledge when the test says so, and a clock that it moves."""

    busy: set[str] = field(default_factory=set[str])
    released: list[ClusterKey] = field(default_factory=list[ClusterKey])
    timers: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]])
    builder: Builder = field(default_factory=Builder)

    def __post_init__(self) -> None:
        self.servers = Servers(lambda proxy: proxy not in self.busy, self._later)
        self.servers.released = self.released.extend
        self.snapshot: Snapshot = self.builder.update(MESH).snapshot
        self.told()

    def _later(self, seconds: float, then: Callable[[], None]) -> None:
        assert seconds == LIMIT
        self.timers.append(then)

    def told(self) -> set[InboundMode]:
        """What callers may know now."""
        return {item.mode for item in self.servers.behind(self.snapshot, KEY)}

    def change(self, *resources: Resource, used: bool = True) -> None:
        """Apply resources."""
        built = self.builder.update(resources)
        self.snapshot = built.snapshot
        self.servers.update(built.snapshot, built.touched, used=lambda _key: used)

    def acknowledge(self, proxy: str) -> None:
        """The proxy holds what it was sent."""
        self.busy.discard(proxy)
        self.servers.moved(proxy)


def test_callers_wait_for_every_server():
    """Only the last acknowledgement lets the callers follow."""
    mesh = Followed(busy={"default/web", "default/web-2"})

    mesh.change(NEEDS_REQUESTS)
    mesh.acknowledge("default/web")
    assert (mesh.told(), mesh.released) == ({InboundMode.BYTES}, [])

    mesh.acknowledge("default/web-2")
    assert (mesh.told(), mesh.released) == ({InboundMode.HTTP}, [KEY])


def test_a_server_that_never_answers_is_not_waited_for_long():
    """After the limit the callers follow all the same; what comes later changes nothing more."""
    mesh = Followed(busy={"default/web"})
    mesh.change(NEEDS_REQUESTS)

    mesh.timers[0]()
    mesh.acknowledge("default/web")

    assert (mesh.told(), mesh.released) == ({InboundMode.HTTP}, [KEY])


def test_servers_that_hold_it_already_are_not_waited_for():
    """With nothing outstanding the callers follow at once."""
    mesh = Followed()
    mesh.change(NEEDS_REQUESTS)
    assert (mesh.told(), mesh.released, mesh.timers) == ({InboundMode.HTTP}, [KEY], [])


def test_a_workload_that_is_not_ready_is_not_waited_for():
    """Nobody calls it, so nothing is lost at it."""
    mesh = Followed(busy={"default/web-2"})
    mesh.change(workload("web-2", "10.0.0.2", app="web", ready="false"))
    mesh.change(NEEDS_REQUESTS)
    assert mesh.released == [KEY]


def test_what_does_not_concern_the_port_releases_nothing():
    """A change that leaves the servers' treatment as it is brings no caller up to date."""
    mesh = Followed()
    mesh.change(authorization_policy("b", {"to": [{"operation": {"paths": ["/x"], "ports": ["1"]}}]}, action="DENY"))
    first = list(mesh.released)
    mesh.change(authorization_policy("c", {}, selector={"matchLabels": {"app": "nobody"}}))
    mesh.change(service("other"))
    assert first == [KEY]
    assert mesh.released == first


def test_an_older_limit_does_not_cut_a_newer_wait_short():
    """A second change starts its own limit."""
    mesh = Followed(busy={"default/web"})
    mesh.change(NEEDS_REQUESTS)
    mesh.change(authorization_policy("b", {"to": [{"operation": {"methods": ["PUT"]}}]}))

    mesh.timers[0]()
    assert mesh.released == []
    mesh.timers[1]()
    assert mesh.released == [KEY]


def test_clusters_that_nobody_calls_are_forgotten():
    """Their next caller is told the truth of that moment."""
    mesh = Followed(busy={"default/web"})
    mesh.change(NEEDS_REQUESTS, used=False)
    assert mesh.released == []
    assert mesh.told() == {InboundMode.HTTP}


def test_changes_without_end_do_not_keep_callers_waiting():
    """A wait may begin anew once; then the callers follow, however often the servers change and whoever is silent."""
    mesh = Followed(busy={"default/web"})
    for number in range(5):
        mesh.change(authorization_policy("a", {"to": [{"operation": {"paths": [f"/{number}"]}}]}))

    assert len(mesh.timers) == 2
    mesh.timers[0]()
    assert mesh.released == []
    mesh.timers[1]()
    assert (mesh.told(), mesh.released) == ({InboundMode.HTTP}, [KEY])


def test_who_waits_for_a_change_does_not_wait_for_later_ones():
    """`followed` returns when the callers follow what there was, though others have begun to wait meanwhile."""
    other = ClusterKey(service=name_of("other"), port=80)

    async def scenario() -> None:
        mesh = Followed(busy={"default/web", "default/other"})
        mesh.change(service("other"), workload("other", "10.0.0.3"))
        mesh.servers.behind(mesh.snapshot, other)
        mesh.change(authorization_policy("a", {"to": [{"operation": {"paths": ["/x"]}}]}, selector=labels("web")))
        waiting = asyncio.ensure_future(mesh.servers.followed())
        await asyncio.sleep(0)
        mesh.change(authorization_policy("b", {"to": [{"operation": {"paths": ["/x"]}}]}, selector=labels("other")))
        mesh.acknowledge("default/web")
        async with asyncio.timeout(5):
            await waiting
        assert mesh.released == [KEY]

    asyncio.run(scenario())


def test_workloads_that_came_and_went_leave_nothing():
    """A service whose workloads are replaced for ever needs no more memory than one whose workloads stay."""
    mesh = Followed()

    def replace_each(numbers: range) -> None:
        for number in numbers:
            gone = ("networking.istio.io", "WorkloadEntry", "default", f"w-{number - 1}")
            built = mesh.builder.update([workload(f"w-{number}", "10.0.1.1", app="web")], [gone])
            mesh.snapshot = built.snapshot
            mesh.servers.update(built.snapshot, built.touched, used=lambda _key: True)

    replace_each(range(50))
    tracemalloc.start()
    try:
        servers = [tracemalloc.Filter(inclusive=True, filename_pattern="*/controlplane/servers.py")]
        replace_each(range(50, 550))
        held = sum(item.size for item in tracemalloc.take_snapshot().filter_traces(servers).statistics("filename"))
    finally:
        tracemalloc.stop()
    assert held < 20_000


def labels(app: str) -> dict[str, dict[str, str]]:
    """The selector of an app's workloads."""
    return {"matchLabels": {"app": app}}
