"""The three patches: by HTTP, and strategic merge patches as kubectl makes them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.api.errors import ApiError
from plait.api.list_types import list_types
from plait.api.patches import merge
from plait.api.strategic_merge import merge_strategically
from tests.api.calling import Api
from tests.api.objects import deployment, http_route, service

SERVICE = "/api/v1/namespaces/default/services/reviews"
ROUTE = "/apis/gateway.networking.k8s.io/v1/namespaces/default/httproutes/reviews"
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=12,
)
_OBJECTS = st.dictionaries(st.sampled_from("abc"), _JSON, max_size=3)


def _strategic(kind: tuple[str, str], document: Any, patch: Any) -> Any:
    keys = {path: lists.merge_key for path, lists in list_types(*kind).items()}
    return merge_strategically(document, patch, keys)


def test_a_merge_patch_changes_removes_and_replaces(api: Api) -> None:
    """Given fields change, null removes, a list is replaced whole."""
    api.post(SERVICE.rpartition("/")[0], json=service(tier="front", zone="a"))

    patch = {"metadata": {"labels": {"tier": None, "zone": "b"}}, "spec": {"ports": [{"port": 9}]}}
    patched = api.patch(SERVICE, patch, "merge").json()

    assert patched["metadata"]["labels"] == {"zone": "b"}
    assert patched["spec"]["ports"] == [{"port": 9}]
    assert patched["spec"]["selector"] == {"app": "reviews"}


def test_a_json_patch_is_done_in_order(api: Api) -> None:
    """Operations follow each other; one that fails, also a test, leaves the object as it was."""
    api.post(SERVICE.rpartition("/")[0], json=service())
    add = {"op": "add", "path": "/spec/ports/-", "value": {"name": "admin", "port": 9}}
    replace = {"op": "replace", "path": "/spec/ports/1/port", "value": 10}

    ports = api.patch(SERVICE, [add, replace], "json").json()["spec"]["ports"]
    failed = api.patch(SERVICE, [add, {"op": "test", "path": "/spec/ports/0/port", "value": 1}], "json")
    wrong = api.patch(SERVICE, [{"op": "dance"}], "json")

    assert [port["port"] for port in ports] == [80, 10]
    assert (failed.status_code, wrong.status_code) == (422, 400)
    assert len(api.get(SERVICE).json()["spec"]["ports"]) == 2


def test_a_strategic_merge_patch_merges_lists_by_key(api: Api) -> None:
    """A port is found by its number; the others stay."""
    api.post(SERVICE.rpartition("/")[0], json=service(ports=(80, 81)))

    patch = {"spec": {"ports": [{"port": 81, "name": "admin"}, {"port": 82, "name": "new"}]}}
    ports = api.patch(SERVICE, patch, "strategic-merge").json()["spec"]["ports"]

    assert [(port["port"], port["name"]) for port in ports] == [(80, "http-80"), (81, "admin"), (82, "new")]
    assert ports[1]["targetPort"] == 8080


def test_a_patch_may_not_make_the_object_wrong(api: Api) -> None:
    """What a patch leaves is checked like any object, and may not be another object."""
    api.post(ROUTE.rpartition("/")[0], json=http_route())

    assert api.patch(ROUTE, {"spec": {"rulez": []}}, "merge").status_code == 422
    assert api.patch(ROUTE, {"metadata": {"name": "other"}}, "merge").status_code == 400
    assert api.patch(ROUTE, {"metadata": None}, "merge").status_code == 422
    assert api.patch(ROUTE, [], "merge").status_code == 400
    assert api.request("PATCH", ROUTE, json={}, headers={"content-type": "text/plain"}).status_code == 415


def test_a_patch_with_a_revision_expects_it(api: Api) -> None:
    """A resourceVersion inside a patch is a precondition."""
    created = api.post(SERVICE.rpartition("/")[0], json=service()).json()
    revision = created["metadata"]["resourceVersion"]

    first = api.patch(SERVICE, {"metadata": {"resourceVersion": revision, "labels": {"a": "1"}}}, "merge")
    second = api.patch(SERVICE, {"metadata": {"resourceVersion": revision, "labels": {"a": "2"}}}, "merge")

    assert (first.status_code, second.status_code) == (200, 409)


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        ({"env": [{"name": "A", "value": "9"}]}, [("A", "9"), ("B", "2")]),
        ({"env": [{"name": "A", "$patch": "delete"}]}, [("B", "2")]),
        ({"env": [{"$patch": "replace"}, {"name": "C", "value": "3"}]}, [("C", "3")]),
        ({"env": [{"name": "C", "value": "3"}]}, [("A", "1"), ("B", "2"), ("C", "3")]),
        ({"$setElementOrder/env": [{"name": "B"}, {"name": "A"}]}, [("B", "2"), ("A", "1")]),
        ({"env": None}, []),
    ],
)
def test_directives_of_a_strategic_merge_patch(patch: Any, expected: list[tuple[str, str]]) -> None:
    """Items are changed, deleted, replaced, added and put in order as the directives say."""
    document = deployment(A="1", B="2")
    change = {"spec": {"template": {"spec": {"containers": [{"name": "web", **patch}]}}}}

    container = _strategic(("apps", "Deployment"), document, change)["spec"]["template"]["spec"]["containers"][0]

    assert [(item["name"], item["value"]) for item in container.get("env", [])] == expected
    assert container["image"] == "nginx"


def test_directives_on_maps_and_values() -> None:
    """A map is replaced or deleted by directive, keys are retained, plain values are merged and deleted."""
    document = {"metadata": {"labels": {"a": "1", "b": "2"}, "finalizers": ["x", "y"]}, "spec": {"p": 1, "q": 2}}
    kind = ("", "Service")

    replaced = _strategic(kind, document, {"metadata": {"labels": {"$patch": "replace", "c": "3"}}})
    deleted = _strategic(kind, document, {"metadata": {"labels": {"$patch": "delete"}}})
    retained = _strategic(kind, document, {"spec": {"$retainKeys": ["p"], "p": 5}})
    removed = _strategic(
        kind, document, {"metadata": {"$deleteFromPrimitiveList/finalizers": ["x"], "finalizers": ["z"]}}
    )

    assert replaced["metadata"]["labels"] == {"c": "3"}
    assert "labels" not in deleted["metadata"]
    assert retained["spec"] == {"p": 5}
    assert removed["metadata"]["finalizers"] == ["y", "z"]
    with pytest.raises(ApiError, match="not known"):
        _strategic(kind, document, {"spec": {"$patch": "dance"}})
    with pytest.raises(ApiError, match="merge key port"):
        _strategic(kind, document, {"spec": {"ports": [{"name": "x"}]}})


@given(_OBJECTS, _OBJECTS)
def test_a_merge_patch_twice_is_as_once(document: Any, patch: Any) -> None:
    """Applying the same merge patch again changes nothing."""
    once = merge(document, patch)
    assert merge(once, patch) == once


@given(_OBJECTS)
def test_without_lists_and_directives_both_merges_agree(patch: Any) -> None:
    """A strategic merge patch of an unknown kind is a merge patch."""
    document = {"a": {"b": 1}, "b": [1], "c": "x"}
    assert _strategic(("", "None"), document, patch) == merge(document, patch)
