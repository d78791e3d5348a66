"""Reverse indexes against a search through everything."""

from hypothesis import given
from hypothesis import strategies as st

from plait.model.services import Labels
from plait.snapshot.index import Labelled, References, Selectors
from plait.snapshot.versioned import Versioned
from plait.snapshot.workloads import selects

LABELS = st.dictionaries(st.sampled_from("abc"), st.sampled_from("xy"), max_size=3).map(
    lambda found: tuple(sorted(found.items()))
)
Changes = list[tuple[int, str, Labels | None]]
CHANGES = st.lists(st.tuples(st.integers(0, 4), st.sampled_from(("one", "two")), st.none() | LABELS), max_size=20)


@given(CHANGES, LABELS)
def test_selected_finds_what_a_scan_finds(changes: Changes, selector: Labels):
    """Objects found through labels are those whose labels contain the selector; an empty selector finds none."""
    index = Labelled[int]()
    kept: dict[int, tuple[str, tuple[tuple[str, str], ...]]] = {}
    for key, namespace, labels in changes:
        if labels is None:
            index.discard(key)
            kept.pop(key, None)
        else:
            index.put(key, namespace, labels)
            kept[key] = namespace, labels

    expected = {
        key
        for key, (namespace, labels) in kept.items()
        if namespace == "one" and selector and selects(selector, labels)
    }
    assert index.selected("one", selector) == expected


@given(CHANGES, LABELS)
def test_selecting_finds_what_a_scan_finds(changes: Changes, labels: Labels):
    """Selectors found through labels are those that the labels satisfy."""
    index = Selectors[int]()
    kept: dict[int, tuple[str, tuple[tuple[str, str], ...]]] = {}
    for key, namespace, selector in changes:
        index.put(key, namespace, selector or ())
        kept[key] = namespace, selector or ()

    expected = {
        key
        for key, (namespace, selector) in kept.items()
        if namespace == "one" and selector and selects(selector, labels)
    }
    assert index.selecting("one", labels) == expected


@given(st.lists(st.tuples(st.integers(0, 3), st.sets(st.integers(0, 5))), max_size=20))
def test_references_are_the_inverse_of_keys(changes: list[tuple[int, set[int]]]):
    """An owner is found by exactly the keys that it named last."""
    index = References[int, int]()
    kept: dict[int, set[int]] = {}
    for owner, keys in changes:
        index.put(owner, keys)
        kept[owner] = keys

    for key in range(6):
        assert set(index.owners(key)) == {owner for owner, keys in kept.items() if key in keys}


def test_a_frozen_version_never_changes():
    """Writing after a freeze leaves the frozen mapping alone, and an equal value changes nothing."""
    versions = Versioned[str, tuple[int, ...]]()
    first = tuple(range(2))
    versions.put("a", first)
    frozen = versions.freeze()

    assert not versions.put("a", tuple(range(2)))
    assert versions.freeze() is frozen
    assert frozen["a"] is first
    assert versions.put("a", None)
    assert dict(frozen) == {"a": first}
    assert versions.changed == {"a"}
