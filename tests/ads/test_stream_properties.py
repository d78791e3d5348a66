"""Whatever happens on a stream, the peer ends with the full state, and never refers to what it does not have."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st

from plait.ads.stream import DeltaStream
from plait.envoy.resource_set import ResourceSet, resource_set
from plait.envoy.types import CLUSTER, ENDPOINT, LISTENER, ROUTE
from tests.fake_envoy import FakeEnvoy, made

NAMES = ("a", "b", "c", "d")
State = Mapping[str, Mapping[str, str]]

Step = tuple[str, object]


def consistent(clusters: dict[str, str], routes: dict[str, str]) -> State:
    """A state whose routes all lead to clusters that exist."""
    leading = {name: cluster for name, cluster in routes.items() if cluster in clusters}
    return {CLUSTER: clusters, ENDPOINT: clusters, ROUTE: leading}


def publication(state: State) -> Step:
    return "publish", state


def interest(step: str, name: str) -> Step:
    return step, name


states = st.builds(
    consistent,
    st.dictionaries(st.sampled_from(NAMES), st.sampled_from("123"), max_size=4),
    st.dictionaries(st.sampled_from(NAMES), st.sampled_from(NAMES), max_size=4),
)
events: list[Step] = [("receive", None), ("ack", None), ("ack", None), ("reconnect", None)]
steps: st.SearchStrategy[Step] = st.one_of(
    st.builds(publication, states),
    st.sampled_from(events),
    st.builds(interest, st.sampled_from(["subscribe", "unsubscribe"]), st.sampled_from(NAMES)),
)


def resources(state: State) -> ResourceSet:
    return resource_set(made(url, name, content) for url, items in state.items() for name, content in items.items())


@dataclass
class Driver:
    """Plays steps against a stream, applying responses in order as a peer does."""

    wholesale: bool
    state: State = field(default_factory=dict[str, Mapping[str, str]])
    peer: FakeEnvoy = field(init=False)
    asked: set[str] = field(default_factory=set[str])
    applied: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])

    def __post_init__(self) -> None:
        self.peer = FakeEnvoy(DeltaStream())
        self._subscribe({})

    def _subscribe(self, held: State) -> None:
        for url in (CLUSTER, LISTENER, ROUTE, *([ENDPOINT] if self.wholesale else [])):
            self.peer.request(url, resource_names_subscribe=["*"], initial_resource_versions=dict(held.get(url, {})))
        if self.asked and not self.wholesale:
            known = {name: version for name, version in held.get(ENDPOINT, {}).items() if name in self.asked}
            self.peer.request(ENDPOINT, resource_names_subscribe=sorted(self.asked), initial_resource_versions=known)

    def play(self, step: str, argument: object) -> None:
        match step, argument:
            case "publish", _:
                self.state = cast("State", argument)
                self.peer.stream.publish(resources(self.state))
            case "subscribe", str() if not self.wholesale:
                self.asked.add(argument)
                self.peer.subscribe(ENDPOINT, argument)
            case "unsubscribe", str() if not self.wholesale and argument in self.asked:
                self.asked.discard(argument)
                self.peer.unsubscribe(ENDPOINT, argument)
                self.applied.get(ENDPOINT, {}).pop(argument, None)
            case "receive", _:
                self.take()
            case "ack", _ if self.peer.unanswered:
                self.peer.ack()
            case "reconnect", _:
                self.peer = FakeEnvoy(DeltaStream())
                self._subscribe(self.applied)
                self.peer.stream.publish(resources(self.state))
            case _:
                pass

    def take(self) -> None:
        for received in self.peer.receive():
            held = self.applied.setdefault(received.type_url, {})
            held.update(received.versions)
            for name in received.removed:
                held.pop(name, None)
            self.check_references()

    def check_references(self) -> None:
        """Every route the peer holds leads to a cluster it holds."""
        by_version = {made(ROUTE, name, to)[1].version: to for name in NAMES for to in NAMES}
        held = self.applied.get(CLUSTER, {})
        for version in self.applied.get(ROUTE, {}).values():
            assert by_version[version] in held

    def finish(self) -> None:
        self.peer.stream.publish(resources(self.state))
        for _ in range(100):
            self.take()
            if not self.peer.unanswered:
                break
            self.peer.ack()
        assert self.peer.stream.in_sync()


@settings(max_examples=300, deadline=None)
@given(st.booleans(), st.lists(steps, max_size=30))
def test_replayed_deltas_equal_the_full_state(wholesale: bool, played: list[tuple[str, object]]) -> None:
    """After any steps and then rest, the peer holds exactly what is published and asked for."""
    driver = Driver(wholesale=wholesale)
    for step, argument in played:
        driver.play(step, argument)
    driver.finish()

    full = resources(driver.state)
    for url in (CLUSTER, ROUTE, ENDPOINT):
        wanted = full.of(url) if driver.wholesale or url != ENDPOINT else driver.asked & full.of(url).keys()
        expected = {name: full.of(url)[name].version for name in wanted}
        assert driver.applied.get(url, {}) == expected


@settings(max_examples=200, deadline=None)
@given(
    st.lists(states, min_size=1, max_size=4),
    st.sets(st.tuples(st.sampled_from([CLUSTER, ROUTE]), st.sampled_from(NAMES))),
)
def test_refusals_stop_nothing_else(published: list[State], bad: set[tuple[str, str]]) -> None:
    """With some resources always refused, all others arrive and exactly those are reported."""
    peer = FakeEnvoy(DeltaStream()).subscribe(CLUSTER).subscribe(ROUTE, "*")
    for state in published:
        peer.stream.publish(resources(state))
        peer.settle(lambda url, name, _version: (url, name) in bad)

    full = resources(published[-1])
    for url in (CLUSTER, ROUTE):
        good = {name: item.version for name, item in full.of(url).items() if (url, name) not in bad}
        assert good.items() <= peer.held.get(url, {}).items()
    refused = {key for key in bad if key[1] in full.of(key[0])}
    assert peer.stream.refusals().keys() == refused
    assert peer.stream.in_sync()
