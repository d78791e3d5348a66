"""Whatever is killed and restarted, in whatever order: once all are there again everything comes to rest, in step."""

from collections.abc import Mapping
from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st

from plait.ads.last_good import decode, encode
from plait.ads.relayed import RelayedProxy
from plait.envoy.types import CLUSTER, ENDPOINT, LISTENER, NAME, ROUTE, SCOPE
from tests.ads.test_relayed import Row
from tests.fake_envoy import Resource, made

HOSTS = ("a", "b", "c")
Step = tuple[str, object]
State = Mapping[str, str]


def resources(state: State) -> tuple[Resource, ...]:
    """Everything that a state's hosts need, their content as given, beside what every proxy has."""
    types = (CLUSTER, ENDPOINT, LISTENER, ROUTE, SCOPE, NAME)
    needed = (made(url, host, content) for host, content in state.items() for url in types)
    return made(CLUSTER, "base"), made(ENDPOINT, "base"), made(LISTENER, "base"), *needed


def publication(state: State) -> Step:
    return "publish", state


def demand(host: str) -> Step:
    return "want", host


states = st.dictionaries(st.sampled_from(HOSTS), st.sampled_from("123"), max_size=3)
events: list[Step] = [
    ("step", None),
    ("flow", None),
    ("lose control", None),
    ("connect control", None),
    ("stop envoy", None),
    ("start envoy", None),
    ("restart relay", None),
]
steps: st.SearchStrategy[Step] = st.one_of(
    st.builds(publication, states), st.builds(demand, st.sampled_from(HOSTS)), st.sampled_from(events)
)


class Play:
    """A row that takes steps, and remembers what control publishes."""

    def __init__(self, bad: set[tuple[str, str, str]]) -> None:
        self.row = Row()
        self.row.bad = lambda url, name, version: (url, name, version) in bad
        self.items = resources({})

    def take(self, step: str, argument: object) -> None:
        match step, argument:
            case "publish", dict():
                self.items = resources(cast("State", argument))
            case "want", str():
                self.row.proxy.want(argument)
            case "step", _:
                self.row.pass_once()
            case "flow", _:
                self.flow()
            case _:
                self.happen(step)
        self.publish()

    def happen(self, event: str) -> None:
        row = self.row
        if event == "lose control":
            row.lose_control()
        elif event == "connect control" and not row.connected:
            row.connect_control()
        elif event == "stop envoy" and row.envoy is not None:
            row.stop_envoy()
        elif event == "start envoy" and row.envoy is None:
            row.start_envoy()
        elif event == "restart relay":
            self.restart_relay()

    def restart_relay(self) -> None:
        """From disk; Envoy connects again with what it holds, as far as this fake goes: from scratch."""
        row = self.row
        row.lose_control()
        hosts = tuple(row.proxy.demand)
        if row.envoy is not None:
            row.stop_envoy()
        row.proxy = RelayedProxy("default/web", good=decode(encode(row.proxy.good)), hosts=hosts)

    def publish(self) -> None:
        if self.row.connected:
            self.row.publish(*self.items)

    def flow(self) -> None:
        """To rest; control answers demand as it comes, as reconcile does."""
        for _ in range(3):
            self.row.flow()
            self.publish()
        self.row.flow()

    def finish(self) -> None:
        if not self.row.connected:
            self.row.connect_control()
        if self.row.envoy is None:
            self.row.start_envoy()
        self.publish()
        self.flow()


@settings(max_examples=300, deadline=None)
@given(st.lists(steps, max_size=25))
def test_everything_comes_to_rest_in_step(played: list[Step]) -> None:
    """Envoy holds all that is published, control knows it, every demand is answered."""
    play = Play(set())
    for step, argument in played:
        play.take(step, argument)
    play.finish()

    row = play.row
    assert row.control.in_sync()
    assert row.proxy.warm
    for url in (CLUSTER, LISTENER, SCOPE):
        assert row.held(url) == {item.name for kind, item in play.items if kind == url}
    existing = {item.name for kind, item in play.items if kind == NAME}
    for host in row.proxy.demand:
        assert (row.proxy.found(host) is not None) == (host in existing)
        assert row.proxy.absent(host) == (host not in existing)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(steps, max_size=25),
    st.sets(st.tuples(st.sampled_from([CLUSTER, LISTENER, SCOPE]), st.sampled_from(HOSTS), st.sampled_from("123"))),
)
def test_refusals_never_stop_the_rest(played: list[Step], bad: set[tuple[str, str, str]]) -> None:
    """With some contents always refused, all others arrive and control knows what was refused."""
    versions = {(url, name, made(url, name, content)[1].version) for url, name, content in bad}
    play = Play(versions)
    for step, argument in played:
        play.take(step, argument)
    play.finish()

    row = play.row
    assert row.control.in_sync()
    assert row.proxy.warm
    published = {(kind, item.name, item.version) for kind, item in play.items}
    refused = {(url, name) for url, name, _ in published & versions}
    assert set(row.control.refusals()) == refused
    for url in (CLUSTER, LISTENER, SCOPE):
        good = {name for kind, name, _ in published if kind == url and (kind, name) not in refused}
        assert good <= row.held(url)
