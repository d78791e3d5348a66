"""Control, relay and Envoy in a row, without I/O: what is acknowledged when, what is served when one is away."""

import json
from collections.abc import Callable

from envoy.service.discovery.v3 import discovery_pb2

from plait.ads.client import DEFERRED
from plait.ads.connections import DEFERRED as CONTROL_DEFERRED
from plait.ads.last_good import decode, encode
from plait.ads.relayed import RelayedProxy
from plait.ads.stream import DeltaStream, Refused
from plait.envoy import names
from plait.envoy.resource_set import Entry, ResourceSet, entry
from plait.envoy.types import CLUSTER, ENDPOINT, ENVOY_TYPES, LISTENER, NAME, ROUTE, SCOPE, SECRET
from tests.fake_envoy import FakeEnvoy, made, made_set, nothing_is_bad

REVIEWS = "reviews.default.svc.cluster.local"
BASE = (made(CLUSTER, "c"), made(ENDPOINT, "c"), made(LISTENER, "l"), made(SCOPE, "s"))


class Row:
    """A control stream, a relayed proxy and a fake Envoy; `flow` lets everything pass until all are at rest."""

    def __init__(self, *, good: ResourceSet | None = None, hosts: tuple[str, ...] = ()) -> None:
        self.proxy = RelayedProxy("default/web", good=good or ResourceSet(), hosts=hosts)
        self.control = DeltaStream()
        self.connected = False
        self.envoy: FakeEnvoy | None = None
        self.upstream: list[tuple[str, tuple[str, ...]]] = []
        self.refusals: list[Refused] = []
        self.bad: Callable[[str, str, str], bool] = nothing_is_bad

    def connect_control(self) -> "Row":
        self.control, self.connected = DeltaStream(deferred=CONTROL_DEFERRED), True
        for request in self.proxy.connect():
            self._request(request)
        return self

    def lose_control(self) -> "Row":
        self.connected = False
        self.proxy.disconnect()
        return self

    def start_envoy(self, held: FakeEnvoy | None = None) -> "Row":
        self.envoy = FakeEnvoy(DeltaStream(deferred=DEFERRED))
        self.envoy.held = dict(held.held) if held else {}
        self.proxy.attach(self.envoy.stream)
        self.envoy.subscribe(CLUSTER)
        self.envoy.subscribe(ENDPOINT, "c")
        return self

    def stop_envoy(self) -> FakeEnvoy:
        envoy, self.envoy = self.envoy, None
        assert envoy is not None
        self.proxy.detach()
        return envoy

    def publish(self, *resources: tuple[str, Entry], demand: frozenset[str] | None = None) -> "Row":
        asked = self.control.names(NAME) if demand is None else demand
        self.control.publish(made_set(*resources), answered={NAME: asked})
        return self

    def flow(self) -> "Row":
        for _ in range(200):
            if not self.pass_once():
                return self
        raise AssertionError("the row never comes to rest")

    def pass_once(self) -> bool:
        """Let what waits pass one step in each place; whether anything moved."""
        return any([self._down(), self._envoy_step(), self._up()])

    def _request(self, request: discovery_pb2.DeltaDiscoveryRequest) -> None:
        self.refusals.extend(event for event in self.control.receive(request) if isinstance(event, Refused))

    def _down(self) -> bool:
        if not self.connected:
            return False
        written = self.control.responses()
        for wire in written:
            response = discovery_pb2.DeltaDiscoveryResponse.FromString(wire)
            self.upstream.append((response.type_url, tuple(item.name for item in response.resources)))
            self.proxy.receive(response)
        return bool(written)

    def _envoy_step(self) -> bool:
        envoy = self.envoy
        if envoy is None:
            return False
        before = len(envoy.events)
        received = envoy.receive()
        if envoy.unanswered:
            first = envoy.unanswered[0]
            refused = any(self.bad(first.type_url, name, version) for name, version in first.versions.items())
            _ = envoy.nack("no such thing") if refused else envoy.ack()
            if first.type_url == CLUSTER and not envoy.stream.subscribes(LISTENER):
                envoy.subscribe(LISTENER)
            if first.type_url == LISTENER and not envoy.stream.subscribes(SCOPE):
                envoy.subscribe(SCOPE)
        self.proxy.observe(envoy.events[before:])
        return bool(received) or len(envoy.events) > before

    def _up(self) -> bool:
        self.proxy.settle()
        written = self.proxy.requests() if self.connected else []
        for request in written:
            self._request(request)
        return bool(written)

    def held(self, url: str) -> set[str]:
        assert self.envoy is not None
        return set(self.envoy.held.get(url, {}))


def warm_row(*more: tuple[str, Entry]) -> Row:
    row = Row().connect_control().start_envoy().publish(*BASE, *more).flow()
    assert row.proxy.warm
    row.upstream.clear()
    return row


def test_a_whole_configuration_passes_in_stages() -> None:
    """Envoy gets everything, control sees everything acknowledged, the proxy is warm."""
    row = Row().connect_control().start_envoy().publish(*BASE).flow()
    assert {url: row.held(url) for url in (CLUSTER, ENDPOINT, LISTENER, SCOPE)} == {
        CLUSTER: {"c"},
        ENDPOINT: {"c"},
        LISTENER: {"l"},
        SCOPE: {"s"},
    }
    assert [url for url, _ in row.upstream] == [ENDPOINT, SECRET, CLUSTER, ROUTE, LISTENER, SCOPE]
    assert row.control.in_sync()
    assert row.proxy.warm


def test_nothing_is_acknowledged_before_envoy_took_it() -> None:
    """Without an Envoy control gets no acknowledgement, so the next stage is not sent."""
    row = Row().connect_control().publish(*BASE).flow()
    assert {url for url, _ in row.upstream} == {ENDPOINT, SECRET, CLUSTER}
    assert not row.control.in_sync()
    assert not row.proxy.warm
    row.start_envoy().flow()
    assert row.control.in_sync()
    assert row.proxy.warm


def test_a_name_arrives_when_envoy_holds_all_that_it_needs() -> None:
    """The host is found only after its cluster, endpoints and scope are acknowledged."""
    row = warm_row()
    row.proxy.want(REVIEWS)
    row.flow()
    assert row.control.names(NAME) == {REVIEWS}
    scope = made(SCOPE, "reviews")
    row.publish(*BASE, made(CLUSTER, "reviews"), scope, made(ROUTE, "reviews:80"), made(NAME, REVIEWS))
    held_back = row.envoy
    row.stop_envoy()
    row.flow()
    assert row.proxy.found(REVIEWS) is None
    assert held_back is not None
    row.start_envoy().flow()
    assert row.proxy.found(REVIEWS) is not None
    assert "reviews" in row.held(SCOPE)
    assert [url for url, _ in row.upstream if url == NAME] == [NAME]


def test_a_name_that_does_not_exist_is_absent() -> None:
    """Control's answer reaches the waiting caller; control gone, nothing is claimed any more."""
    row = warm_row()
    row.proxy.want("nowhere")
    row.flow()
    assert not row.proxy.absent("nowhere")
    row.publish(*BASE).flow()
    assert row.proxy.absent("nowhere")
    row.lose_control()
    assert not row.proxy.absent("nowhere")


def test_names_that_never_existed_are_forgotten_in_the_end() -> None:
    """Wild guesses of a workload don't make its demand grow without limit."""
    row = warm_row()
    for number in range(600):
        row.proxy.want(f"guess-{number}")
    row.flow().publish(*BASE).flow()
    assert len(row.control.names(NAME)) <= 256
    assert row.control.in_sync()


def test_a_route_that_envoy_asks_for_is_demand_for_its_host() -> None:
    """The first request to an address makes the host part of what the proxy holds; the route is held, not denied."""
    row = warm_row()
    assert row.envoy is not None
    row.proxy.observe(row.envoy.stream.receive(asking(ROUTE, f"{REVIEWS}:80")))
    row.flow()
    assert row.control.names(NAME) == {REVIEWS}
    row.publish(*BASE, made(ROUTE, f"{REVIEWS}:80"), made(NAME, REVIEWS)).flow()
    assert row.held(ROUTE) == {f"{REVIEWS}:80"}


def test_a_restarting_envoy_is_served_while_control_is_away() -> None:
    """Everything good is there at once, also after the relay itself was restarted from disk."""
    row = warm_row(made(NAME, REVIEWS))
    good = decode(encode(row.proxy.good))
    row.lose_control().stop_envoy()
    row.start_envoy().flow()
    assert row.held(LISTENER) == {"l"}
    assert row.proxy.warm

    again = Row(good=good).start_envoy().flow()
    assert again.held(LISTENER) == {"l"}
    assert again.proxy.warm


def test_unchanged_resources_are_not_sent_again_after_a_reconnect() -> None:
    """A restarted control that knows the same sends nothing; one that knows a change sends only that."""
    row = warm_row()
    row.lose_control().connect_control().publish(*BASE).flow()
    assert [names for _, names in row.upstream if names] == []
    row.lose_control().connect_control().publish(*BASE, made(CLUSTER, "new")).flow()
    assert [names for _, names in row.upstream if names] == [("new",)]
    assert row.control.in_sync()


def test_what_vanished_while_control_was_away_is_removed() -> None:
    """The relay tells what it holds, so control takes away what exists no longer."""
    row = warm_row(made(CLUSTER, "old"))
    row.lose_control().connect_control().publish(*BASE).flow()
    assert row.held(CLUSTER) == {"c"}
    assert "old" not in row.proxy.good.of(CLUSTER)


def test_the_demand_of_a_reconnecting_relay_is_known_before_anything_is_published() -> None:
    """The first request names the hosts, so a restarted control takes nothing away."""
    row = Row(hosts=(REVIEWS,))
    first = row.proxy.connect()[0]
    assert (first.type_url, list(first.resource_names_subscribe), first.node.id) == (NAME, [REVIEWS], "default/web")


def test_what_was_received_and_not_confirmed_is_sent_again() -> None:
    """Control's crash between sending and acknowledgement loses nothing."""
    row = warm_row()
    row.stop_envoy()
    row.publish(*BASE, made(CLUSTER, "new"), made(LISTENER, "new")).flow()
    row.lose_control()
    row.start_envoy().flow()
    row.upstream.clear()
    row.connect_control().publish(*BASE, made(CLUSTER, "new"), made(LISTENER, "new")).flow()
    assert row.held(CLUSTER) == {"c", "new"}
    assert row.held(LISTENER) == {"l", "new"}
    assert row.control.in_sync()
    assert [names for _, names in row.upstream if names] == [("new",), ("new",)]


def test_a_refusal_arrives_at_control_and_the_last_good_stays_in_force() -> None:
    """Envoy's words reach control for the resource at fault alone; a new Envoy gets the good version."""
    row = warm_row(made(CLUSTER, "d"))
    bad = made(CLUSTER, "d", "bad")
    row.bad = lambda _url, _name, version: version == bad[1].version
    row.publish(*BASE, bad, made(CLUSTER, "e"), made(LISTENER, "m")).flow()
    assert [(event.name, event.message) for event in row.refusals] == [("d", "d: no such thing")]
    assert row.held(CLUSTER) == {"c", "d", "e"}
    assert row.held(LISTENER) == {"l", "m"}
    assert row.control.in_sync()

    row.stop_envoy()
    row.start_envoy().flow()
    assert row.envoy is not None
    assert row.envoy.held[CLUSTER]["d"] == made(CLUSTER, "d")[1].version
    assert row.proxy.warm

    row.publish(*BASE, made(CLUSTER, "d", "mended"), made(CLUSTER, "e"), made(LISTENER, "m")).flow()
    assert row.envoy.held[CLUSTER]["d"] == made(CLUSTER, "d", "mended")[1].version
    assert not row.control.refusals()


def test_a_refusal_is_told_again_to_a_restarted_control() -> None:
    """Control that lost its memory learns of it at once, without asking Envoy."""
    row = warm_row()
    bad = made(CLUSTER, "bad")
    row.bad = lambda _url, _name, version: version == bad[1].version
    row.publish(*BASE, bad).flow()
    row.lose_control().connect_control().publish(*BASE, bad).flow()
    assert set(row.control.refusals()) == {(CLUSTER, "bad")}
    row.publish(*BASE).flow()
    assert row.control.in_sync()
    assert row.held(CLUSTER) == {"c"}


def test_the_machines_own_secrets_are_served_and_kept_from_control_and_disk() -> None:
    """Identity and bundle reach Envoy; neither reconnecting nor saving tells them to anyone."""
    row = warm_row()
    row.proxy.set_secrets({item.name: item for _, item in (made(SECRET, "identity"), made(SECRET, "bundle"))})
    assert row.envoy is not None
    row.envoy.subscribe(SECRET, "identity", "bundle", "not-there")
    row.flow()
    assert row.held(SECRET) == {"identity", "bundle"}
    assert b"identity" not in encode(row.proxy.good)
    row.lose_control()
    told = {request.type_url: dict(request.initial_resource_versions) for request in row.proxy.connect()}
    assert told[SECRET] == {}


def test_an_empty_configuration_makes_a_warm_proxy() -> None:
    """A workload that calls nothing and listens on nothing still comes up."""
    row = Row().connect_control().start_envoy().publish().flow()
    assert row.proxy.warm
    assert row.control.in_sync()


def test_types_that_control_has_not_sent_are_left_as_envoy_has_them() -> None:
    """A relay that lost its disk takes nothing from a running Envoy until control has spoken."""
    row = Row()
    envoy = FakeEnvoy(DeltaStream(deferred=DEFERRED))
    row.proxy.attach(envoy.stream)
    for url in ENVOY_TYPES:
        asked = "*" if url in (CLUSTER, LISTENER, SCOPE) else "x"
        envoy.request(url, resource_names_subscribe=[asked], initial_resource_versions={"x": "1"})
    assert envoy.receive() == []


def direct(place: str) -> str:
    return names.DIRECT_PREFIX + place


def record(place: str, *addresses: str) -> tuple[str, Entry]:
    values = {"host": place, "addresses": addresses, "ports": [80], "headless": True}
    return NAME, entry(place, NAME, json.dumps(values).encode())


def dial(row: Row, *places: str) -> Row:
    assert row.envoy is not None
    row.envoy.subscribe(CLUSTER, *map(direct, places))
    row.proxy.observe(row.envoy.events[-1:])
    return row.flow()


def test_a_workloads_address_that_is_dialled_is_demand_for_it() -> None:
    """The cluster that the first connection asks for is held back, not denied, until control has sent it."""
    row = dial(warm_row(), "10.7.0.9:80")
    assert row.envoy is not None
    assert row.control.names(NAME) == {"10.7.0.9:80"}
    assert not [item for item in row.envoy.received if item.type_url == CLUSTER and item.removed]
    row.publish(*BASE, made(CLUSTER, direct("10.7.0.9:80")), record("10.7.0.9:80", "10.7.0.9")).flow()
    assert row.held(CLUSTER) == {"c", direct("10.7.0.9:80")}
    assert row.proxy.found("10.7.0.9:80") is not None
    assert row.control.in_sync()


def test_an_address_outside_the_mesh_is_denied_at_once() -> None:
    """What control says does not exist, and what is no workload's address at all, fails without waiting."""
    row = dial(warm_row(), "192.0.2.1:80").publish(*BASE).flow()
    assert row.envoy is not None
    row.envoy.subscribe(CLUSTER, "never-heard-of")
    row.proxy.observe(row.envoy.events[-1:])
    row.flow()
    denied = {name for item in row.envoy.received if item.type_url == CLUSTER for name in item.removed}
    assert denied == {direct("192.0.2.1:80"), "never-heard-of"}


def test_a_dialled_address_follows_what_control_says_of_it() -> None:
    """A workload that goes and comes again changes the cluster of those who called it; nobody asks again."""
    place = "10.7.0.9:80"
    there = made(CLUSTER, direct(place), "there")
    row = dial(warm_row(), place).publish(*BASE, there, record(place, "10.7.0.9")).flow()
    for cluster in (made(CLUSTER, direct(place), "gone"), there):
        row.publish(*BASE, cluster, record(place)).flow()
        assert row.envoy is not None
        assert row.envoy.held[CLUSTER][direct(place)] == cluster[1].version


def test_a_port_scan_leaves_a_bounded_trace() -> None:
    """Of addresses that lead nowhere the latest are kept, others are taken from Envoy too; workloads' stay."""
    places = [f"10.7.{number // 200}.{number % 200}:80" for number in range(600)]
    found, held = record("10.8.0.1:80", "10.8.0.1"), [made(CLUSTER, direct(place)) for place in places]
    row = dial(warm_row(), "10.8.0.1:80", *places)
    mine = made(CLUSTER, direct("10.8.0.1:80"))
    row.publish(*BASE, mine, *held, found, *map(record, places)).flow()
    left = row.control.names(NAME)
    assert len(left) == 257
    row.publish(*BASE, mine, *(item for item in held if item[1].name.removeprefix("direct/") in left), found)
    row.flow()
    assert row.held(CLUSTER) == {"c", *map(direct, left)}
    assert direct("10.8.0.1:80") in row.held(CLUSTER)
    assert row.control.in_sync()


def test_random_names_leave_a_bounded_trace_while_control_is_away() -> None:
    """Of names wanted without control only the latest are asked for when it is back; what is held stays."""
    row = warm_row()
    row.proxy.want("reviews")
    row.publish(
        *BASE,
        (
            NAME,
            entry(
                "reviews", NAME, b'{"host": "reviews", "addresses": ["240.240.0.1"], "ports": [80], "headless": false}'
            ),
        ),
    ).flow()
    row.proxy.disconnect()
    for number in range(5000):
        row.proxy.want(f"n{number}.example.com")

    asked = row.proxy.connect()[0].resource_names_subscribe
    assert {"reviews", "n4999.example.com"} <= set(asked)
    assert len(asked) == 257


def test_addresses_that_led_nowhere_are_not_remembered() -> None:
    """A restarted relay asks for the workloads that were called, and for headless names without endpoints."""
    empty = entry(REVIEWS, NAME, b'{"host": "reviews", "addresses": [], "ports": [], "headless": true}')
    good = made_set(record("10.7.0.9:80", "10.7.0.9"), record("10.7.0.8:80"), (NAME, empty))
    assert RelayedProxy("default/web", good=good).demand == {"10.7.0.9:80", REVIEWS}


def asking(url: str, *names: str) -> discovery_pb2.DeltaDiscoveryRequest:
    return discovery_pb2.DeltaDiscoveryRequest(type_url=url, resource_names_subscribe=names)
