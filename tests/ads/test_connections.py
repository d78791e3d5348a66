"""What control knows of its proxies: demand, state, waiting for them, the newest stream."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from plait.ads.connections import DEFERRED, ConnectionCallbacks, Connections
from plait.ads.server import Peer, Session
from plait.ads.stream import DeltaStream
from plait.envoy.types import CLUSTER, ENVOY_TYPES, NAME
from plait.errors import ForbiddenError
from tests.clock import run
from tests.fake_envoy import FakeEnvoy, everything_is_bad, made, made_set

MACHINE = Peer(spiffe_id="spiffe://cluster.local/plait/node/m1", address="ipv4:127.0.0.1:1")
PROXY = "default/web"
NONE = frozenset[str]()


@dataclass
class Host:
    """Connections with proxies that are driven by hand."""

    told: list[tuple[str, object]] = field(default_factory=list[tuple[str, object]])

    def __post_init__(self) -> None:
        self.connections = Connections(
            trust_domain="cluster.local",
            registered=lambda proxy, node: proxy.startswith("default/") and node == "m1",
            callbacks=ConnectionCallbacks(
                connect=lambda proxy, node: self.told.append(("connect", (proxy, node))),
                disconnect=lambda proxy: self.told.append(("disconnect", proxy)),
                demand=lambda _proxy, hosts: self.told.append(("demand", hosts)),
            ),
            clock=lambda: asyncio.get_running_loop().time(),
        )

    def open(self, proxy: str = PROXY, hosts: tuple[str, ...] = ()) -> "Peered":
        session = Session(proxy=proxy, peer=MACHINE, stream=DeltaStream(deferred=DEFERRED))
        self.connections.opened(session)
        peered = Peered(host=self, session=session)
        peered.envoy.subscribe(NAME, *hosts)
        peered.tell()
        for url in ENVOY_TYPES:
            peered.envoy.subscribe(url, "*")
        peered.tell()
        return peered


@dataclass
class Peered:
    """One proxy's end of a stream."""

    host: Host
    session: Session

    def __post_init__(self) -> None:
        self.envoy = FakeEnvoy(self.session.stream)

    def tell(self) -> None:
        events, self.envoy.events = tuple(self.envoy.events), []
        self.host.connections.received(self.session, events)

    def settle(self) -> None:
        self.envoy.settle()
        self.tell()


def play(test: Callable[[Host], Awaitable[None]]) -> Host:
    host = Host()

    async def main() -> None:
        await test(host)

    run(main())
    return host


def test_demand_is_told_before_anything_else() -> None:
    """Who listens knows a proxy's machine and all its hosts before it has to publish."""

    async def test(host: Host) -> None:
        host.open(hosts=("reviews",))

    assert play(test).told == [("connect", (PROXY, "m1")), ("demand", frozenset({"reviews"}))]


def test_a_set_made_for_less_demand_removes_nothing() -> None:
    """Between a new demand and the set made for it, an older set takes nothing away and denies nothing."""

    async def test(host: Host) -> None:
        peered = host.open(hosts=("a",))
        both = made_set(made(CLUSTER, "a"), made(NAME, "a"))
        host.connections.publish(PROXY, both, demand=frozenset({"a"}))
        peered.settle()
        peered.envoy.subscribe(NAME, "b")
        peered.tell()
        assert host.connections.demand(PROXY) == {"a", "b"}
        host.connections.publish(PROXY, made_set(), demand=NONE)
        peered.settle()
        assert peered.envoy.held[CLUSTER].keys() == {"a"}
        assert not host.connections.states()[0].synced
        host.connections.publish(PROXY, made_set(), demand=frozenset({"a", "b"}))
        peered.settle()
        assert not peered.envoy.held[CLUSTER]
        assert host.connections.states()[0].synced

    play(test)


def test_publishing_within_the_connect_callback_is_safe() -> None:
    """A set that was published before the first request was read removes nothing that the demand covers."""

    async def test(host: Host) -> None:
        session = Session(proxy=PROXY, peer=MACHINE, stream=DeltaStream(deferred=DEFERRED))
        host.connections.opened(session)
        host.connections.publish(PROXY, made_set(), demand=NONE)
        peered = Peered(host=host, session=session)
        peered.envoy.held = {CLUSTER: {"a": "1"}, NAME: {"a": "1"}}
        for url in (NAME, *ENVOY_TYPES):
            held = {"a": "1"} if url in (NAME, CLUSTER) else {}
            asked = "a" if url == NAME else "*"
            peered.envoy.request(url, resource_names_subscribe=[asked], initial_resource_versions=held)
        peered.tell()
        peered.settle()
        assert peered.envoy.held[CLUSTER] == {"a": "1"}

    play(test)


def test_waiting_for_proxies_ends_when_all_hold_their_set() -> None:
    """The wait ends with the last acknowledgement; who is missing at the limit is named."""

    async def test(host: Host) -> None:
        first, second = host.open("default/a"), host.open("default/b")
        for proxy in ("default/a", "default/b"):
            host.connections.publish(proxy, made_set(made(CLUSTER, "c")), demand=NONE)
        loop = asyncio.get_running_loop()
        loop.call_later(1, first.settle)
        loop.call_later(2, second.settle)
        assert await host.connections.settled(["default/a", "default/b"], 10) == NONE
        assert loop.time() == pytest.approx(2, abs=0.1)
        host.connections.publish("default/b", made_set(made(CLUSTER, "d")), demand=NONE)
        assert await host.connections.settled(["default/a", "default/b", "default/c"], 1) == {"default/b", "default/c"}

    play(test)


def test_a_refusal_is_part_of_the_state() -> None:
    """The proxy counts as settled, and what it refused is told with its words."""

    async def test(host: Host) -> None:
        peered = host.open()
        host.connections.publish(PROXY, made_set(made(CLUSTER, "bad")), demand=NONE)
        peered.envoy.settle(everything_is_bad)
        peered.tell()
        assert await host.connections.settled([PROXY], 1) == NONE
        (refused,) = host.connections.states()[0].refused
        assert (refused.type_url, refused.name, refused.message) == (CLUSTER, "bad", "bad: bad")
        assert host.connections.refusals() == ((PROXY, refused),)

    play(test)


def test_the_newest_stream_wins() -> None:
    """The older one is ended, and its end is no disconnection."""

    async def test(host: Host) -> None:
        old, new = host.open(), host.open()
        with pytest.raises(Exception, match="newer stream"):
            await old.session.until_ended()
        host.connections.closed(old.session)
        assert host.connections.connected() == (PROXY,)
        host.connections.closed(new.session)
        assert host.connections.connected() == ()

    assert [event for event, _ in play(test).told] == ["connect", "demand", "connect", "demand", "disconnect"]


def test_a_disconnected_proxy_stays_known_until_it_is_forgotten() -> None:
    """Its state says since when it is away; publishing to it does nothing."""

    async def test(host: Host) -> None:
        peered = host.open()
        await asyncio.sleep(5)
        host.connections.closed(peered.session)
        (state,) = host.connections.states()
        assert (state.connected, state.synced, state.node) == (False, False, "m1")
        assert state.since == pytest.approx(5, abs=0.1)
        assert not host.connections.publish(PROXY, made_set(), demand=NONE)
        host.connections.forget(PROXY)
        assert host.connections.states() == ()
        assert host.connections.state(PROXY) is None

    play(test)


def test_forgetting_a_connected_proxy_ends_its_stream() -> None:
    """A workload that was deregistered gets nothing more."""

    async def test(host: Host) -> None:
        peered = host.open()
        host.connections.forget(PROXY)
        with pytest.raises(Exception, match="registered no longer"):
            await peered.session.until_ended()

    play(test)


@pytest.mark.parametrize(
    ("spiffe_id", "proxy", "problem"),
    [
        ("spiffe://cluster.local/ns/default/sa/web", PROXY, "is no machine"),
        ("", PROXY, "is no machine"),
        ("spiffe://other/plait/node/m1", PROXY, "is no machine"),
        ("spiffe://cluster.local/plait/node/m2", PROXY, "not registered with machine m2"),
        ("spiffe://cluster.local/plait/node/m1", "other/web", "not registered with machine m1"),
    ],
)
def test_only_the_machine_of_a_workload_may_ask_for_it(spiffe_id: str, proxy: str, problem: str) -> None:
    """A workload's own certificate, another machine or another mesh is refused in a sentence."""

    async def test(host: Host) -> None:
        assert host.connections.authorize(PROXY, MACHINE) == PROXY
        with pytest.raises(ForbiddenError, match=problem):
            host.connections.authorize(proxy, Peer(spiffe_id=spiffe_id, address=""))

    play(test)
