"""VirtualServices that hand rules on to others: what is merged, what is left out, what is told."""

from typing import Any

import pytest

from plait.resources.parse import Resource
from tests.snapshot.resources_builders import Document, built, key_of, snapshot_of
from tests.snapshot.virtual_service_builders import (
    REVIEWS,
    V2,
    listed,
    message,
    names,
    rules,
    status,
    to,
    virtual_service,
)


def delegating(name: str, *matches: Document, **fields: Any) -> Resource:
    """A VirtualService for reviews that hands everything, or these matches, on to `NAME`."""
    namespace, _, last = name.rpartition("/")
    delegate = {"name": last, **({"namespace": namespace} if namespace else {})}
    return virtual_service("vs", {"delegate": delegate, "match": list(matches), **fields}, to("reviews", name="rest"))


def leaf(*http: Document, name: str = "leaf", **fields: Any) -> Resource:
    """A VirtualService that others delegate to."""
    return virtual_service(name, *http, hosts=(), **fields)


def test_a_delegates_rules_take_the_place_of_the_rule():
    """In the order of both lists, under the delegate's name, with the origin in the delegate."""
    root = delegating("leaf", {"uri": {"prefix": "/"}})
    snapshot = snapshot_of(REVIEWS, V2, root, leaf(to("v2", name="a", match=[{"uri": {"prefix": "/a"}}]), to("v2")))

    assert names(snapshot) == ["leaf/a", "leaf/http[1]", "vs/rest"]
    first = listed(snapshot)[0]
    assert first.origin is not None
    assert (first.origin.name, first.origin.path) == ("leaf", "spec.http[0]")


def test_conditions_and_actions_are_joined():
    """The delegate's conditions stand beside the root's; what it does not set it takes from the root."""
    match: Document = {"uri": {"prefix": "/shop"}, "headers": {"x-a": {"exact": "1"}}, "sourceLabels": {"app": "web"}}
    root = delegating("leaf", match, timeout="3s", retries={"attempts": 5}, headers={"request": {"set": {"x": "root"}}})
    own: Document = {"uri": {"exact": "/shop/cart"}, "headers": {"x-b": {}}, "method": {"exact": "POST"}}
    snapshot = snapshot_of(REVIEWS, V2, root, leaf(to("v2", match=[own], timeout="1s")))
    found = listed(snapshot, app="web")[0]

    assert found.match.path.value == "/shop/cart"
    assert [item.name for item in found.match.headers] == ["x-a", "x-b"]
    assert found.match.method is not None
    assert found.retry is not None
    assert (found.timeout, found.retry.attempts, found.request_headers.set) == (1, 5, (("x", "root"),))


@pytest.mark.parametrize(
    ("root", "own", "within"),
    [
        ({"uri": {"prefix": "/a"}}, {"uri": {"prefix": "/a/b"}}, True),
        ({"uri": {"prefix": "/a/b"}}, {"uri": {"prefix": "/a"}}, False),
        ({"uri": {"exact": "/a"}}, {"uri": {"prefix": "/a"}}, False),
        ({"uri": {"prefix": "/a"}}, {"uri": {"exact": "/b"}}, False),
        ({"uri": {"regex": "/a.*"}}, {"uri": {"exact": "/a"}}, False),
        ({"uri": {"prefix": "/a"}}, {"headers": {"x": {}}}, True),
        ({"headers": {"x": {"exact": "1"}}}, {"headers": {"x": {"exact": "2"}}}, False),
        ({"headers": {"x": {}}}, {"headers": {"x": {"exact": "2"}}}, True),
        ({"port": 80}, {"port": 81}, False),
        ({"sourceLabels": {"a": "1"}}, {"sourceLabels": {"a": "2"}}, False),
        ({"sourceNamespace": "shop"}, {"sourceNamespace": "test"}, False),
        ({"uri": {"prefix": "/a"}, "ignoreUriCase": True}, {"uri": {"prefix": "/a"}}, False),
    ],
)
def test_a_match_outside_the_roots_is_left_out(root: Document, own: Document, within: bool):
    """Such a rule is left out, and the root's condition says so."""
    builder = built(REVIEWS, V2, delegating("leaf", root), leaf(to("v2", name="own", match=[own])))

    left_out = "PartiallyInvalid" in status(builder)
    assert left_out != within
    assert not left_out or "lies outside spec.http[0].match" in message(builder, "PartiallyInvalid")


def test_alternatives_of_the_root_multiply():
    """A delegate's match that lies in two of the root's becomes two rules."""
    root = delegating("leaf", {"uri": {"prefix": "/a"}}, {"uri": {"prefix": "/b"}})
    snapshot = snapshot_of(REVIEWS, V2, root, leaf(to("v2", name="own", match=[{"headers": {"x": {}}}])))

    assert names(snapshot) == ["leaf/own/match[0]", "leaf/own/match[1]", "vs/rest"]


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        (None, "VirtualService default/leaf does not exist"),
        (virtual_service("leaf", to("v2"), hosts=("v2",)), "has hosts"),
        (leaf({"delegate": {"name": "vs"}}), "delegates again"),
        (leaf(to("v2"), exportTo=["shop"]), "is not exported to namespace default"),
    ],
)
def test_what_cannot_be_delegated_to_is_told(other: Resource | None, sentence: str):
    """The other rules act; a delegate that delegates (a cycle, too) ends there."""
    builder = built(REVIEWS, V2, delegating("leaf"), *([other] if other else []))

    assert names(builder.snapshot) == ["vs/rest"]
    assert sentence in message(builder, "PartiallyInvalid")


def test_a_delegate_that_comes_changes_or_goes_is_followed():
    """Whatever happens to it, the root's frontends follow."""
    builder = built(REVIEWS, V2, delegating("shop/leaf"))
    there = leaf(to("v2"), name="shop/leaf")

    builder.update([there])
    assert names(builder.snapshot) == ["leaf/http[0]", "vs/rest"]
    assert status(builder)["ResolvedRefs"] == ("False", "BackendNotFound")
    builder.update([leaf(to("v2.default"), to("reviews.default"), name="shop/leaf")])
    assert names(builder.snapshot) == ["leaf/http[0]", "leaf/http[1]", "vs/rest"]
    assert status(builder)["ResolvedRefs"] == ("True", "ResolvedRefs")
    builder.update([], [key_of(there)])
    assert names(builder.snapshot) == ["vs/rest"]


def test_a_delegate_acts_only_through_its_root():
    """By itself it has no host."""
    assert rules(snapshot_of(REVIEWS, V2, leaf(to("v2")))) is None
