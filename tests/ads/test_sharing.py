"""What many streams have in common is made, compared and kept once."""

from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from plait.ads.responses import Responses
from plait.ads.stream import DeltaStream
from plait.ads.versions import SHARED, Differences, Versions
from plait.envoy.overlaid import Overlaid
from plait.envoy.resource_set import Entry, ResourceSet
from plait.envoy.types import CLUSTER, ENDPOINT, SCOPE
from tests.fake_envoy import FakeEnvoy, made, made_set

STREAMS = 1000
NAMES = ("a", "b", "c", "d")


def entries(*names: str, content: str = "1") -> dict[str, Entry]:
    """Scopes of these names."""
    return {name: made(SCOPE, name, content)[1] for name in names}


def test_a_thousand_streams_in_the_same_state_are_written_one_response() -> None:
    """A change is serialised once, and every stream is given the very same bytes."""
    shared = Responses()
    before, after = (made_set(made(CLUSTER, "c", content), made(ENDPOINT, "c")) for content in "12")
    peers = [FakeEnvoy(DeltaStream(responses=shared)).subscribe(CLUSTER) for _ in range(STREAMS)]
    for peer in peers:
        peer.stream.publish(before)
        peer.settle()
    shared.made = shared.shared = 0

    for peer in peers:
        peer.stream.publish(after)
    written = [peer.stream.responses() for peer in peers]

    assert (shared.made, shared.shared) == (1, STREAMS - 1)
    assert {id(wire) for responses in written for wire in responses} == {id(written[0][0])}


def test_what_is_under_way_is_sent_again_under_another_nonce() -> None:
    """The peer's answers stay apart, although both responses have the same resources."""
    cluster, endpoints = made(CLUSTER, "c"), made(ENDPOINT, "c")
    peer = FakeEnvoy(DeltaStream()).subscribe(CLUSTER).subscribe(ENDPOINT, "c").publish(cluster, endpoints)
    peer.settle()
    first = peer.publish(made(CLUSTER, "c", "2"), endpoints).receive()
    peer.ack(first[0])
    second = peer.publish(made(CLUSTER, "c", "3"), endpoints).receive()

    again = [item.nonce for item in (*first, *second) if item.type_url == ENDPOINT]
    assert len(set(again)) == 2
    peer.settle()
    assert peer.stream.in_sync()


def test_a_large_mapping_is_compared_once_for_all_streams() -> None:
    """A thousand streams that go from one mesh's scopes to another's compare them once, and are sent what differs."""
    names = [f"s{number}" for number in range(500)]
    before, after = entries(*names), {**entries(*names), **entries("s7", content="2")}
    peers = [FakeEnvoy(DeltaStream()).subscribe(SCOPE) for _ in range(STREAMS)]
    for number, peer in enumerate(peers):
        peer.stream.publish(ResourceSet({SCOPE: Overlaid(before, entries(f"s{number % 5}", content="own"))}))
        peer.settle()
    made_before = SHARED.made

    for number, peer in enumerate(peers):
        peer.stream.publish(ResourceSet({SCOPE: Overlaid(after, entries(f"s{number % 5}", content="own"))}))
        peer.expect(SCOPE, ["s7"])

    assert SHARED.made == made_before + 1


def test_only_the_latest_comparisons_are_kept() -> None:
    """The memory of comparisons is bounded, and one that was forgotten is made again."""
    differences = Differences()
    first, *others = ({f"s{number}": entry for number, entry in enumerate(entries("x").values())} for _ in range(40))
    first.update(entries(*(f"n{number}" for number in range(100))))

    for other in others:
        differences.between(first, other)
    differences.between(first, others[-1])
    made_so_far = differences.made
    differences.between(first, others[0])

    assert (made_so_far, differences.made) == (len(others), len(others) + 1)


def test_at_rest_a_stream_keeps_nothing_of_its_own_for_what_is_shared() -> None:
    """Versions that have come to rest on a mapping refer to it, and still answer for every name."""
    versions = Versions({"a": "x", "gone": "y"})
    target = Overlaid(entries("a", "b"), entries("b", content="own"))

    versions.rest(target, {"absent": ""})

    assert versions.base is target.base
    assert versions.own == {"b": target["b"].version, "absent": ""}
    assert sorted(versions) == ["a", "absent", "b"]
    assert versions.differing(Overlaid(target.base, {})) == {"b", "absent"}


contents = st.dictionaries(st.sampled_from(NAMES), st.sampled_from("123"), max_size=4)
operations = st.one_of(
    st.tuples(st.just("set"), st.sampled_from(NAMES), st.sampled_from("123")),
    st.tuples(st.just("drop"), st.sampled_from(NAMES), st.just("")),
    st.tuples(st.just("rest"), contents, contents),
)


@given(st.lists(operations, max_size=12), contents, contents)
def test_versions_answer_as_a_plain_dictionary(
    played: list[tuple[str, object, object]], base: dict[str, str], own: dict[str, str]
) -> None:
    """Whatever was set, dropped and rested on, names and versions are right, and no difference is overlooked."""
    versions, plain = Versions(), dict[str, str]()
    for step, first, second in played:
        if step == "set":
            versions[str(first)] = plain[str(first)] = str(second)
        elif step == "drop":
            versions.drop(str(first))
            plain.pop(str(first), None)
        else:
            target = overlaid(*cast("tuple[dict[str, str], dict[str, str]]", (first, second)))
            versions.rest(target, {})
            plain = {name: item.version for name, item in target.items()}
    assert {name: versions.get(name) for name in versions} == plain
    target = overlaid(base, own)
    really = {
        name for name in {*plain, *target} if plain.get(name) != (target[name].version if name in target else None)
    }
    assert really <= versions.differing(target)


def overlaid(base: dict[str, str], own: dict[str, str]) -> Overlaid:
    """Entries with these contents."""
    return Overlaid(*({name: made(SCOPE, name, text)[1] for name, text in each.items()} for each in (base, own)))
