"""/plait/v1/apply: sets that go into force together, with owners, pruning and every mistake at its line."""

import json
from typing import Any

import httpx

from plait.api.app import create_app
from plait.store.memory import MemoryStore
from plait.store.store import ObjectKey
from tests.api.calling import Api
from tests.api.objects import Document, config_map, deployment, http_route, namespace, service
from tests.api.serving import backend

APPLY = "/plait/v1/apply"


def _apply(api: Api, *documents: Document, **options: Any) -> httpx.Response:
    return api.post(APPLY, json={"documents": list(documents), **options})


def _results(answer: httpx.Response) -> list[tuple[str, str, str]]:
    assert answer.status_code == 200, answer.text
    return [(result["kind"], result["name"], result["result"]) for result in answer.json()["results"]]


def _from(document: Document, file: str, line: int, **lines: int) -> Document:
    source = json.dumps({"file": file, "line": line, "lines": lines})
    metadata = {**document["metadata"], "annotations": {"plait.dev/source": source}}
    return {**document, "metadata": metadata}


def test_each_object_has_its_result(api: Api) -> None:
    """Created, then unchanged, then configured; what a mesh cannot act on is stored with a note."""
    documents = (namespace("shop"), service(namespace="shop"), deployment())
    first = _apply(api, *documents)
    again = _apply(api, *documents)
    changed = _apply(api, service(namespace="shop", ports=(81,)), deployment(image="httpd"))

    assert _results(first) == [
        ("Namespace", "shop", "created"),
        ("Service", "reviews", "created"),
        ("Deployment", "web", "stored"),
    ]
    assert "Plait" in first.json()["results"][2]["note"]
    assert [result for _, _, result in _results(again)] == ["unchanged"] * 3
    assert again.json()["revision"] == first.json()["revision"]
    assert [result for _, _, result in _results(changed)] == ["configured", "stored"]
    assert api.get("/api/v1/namespaces/shop/services/reviews").json()["spec"]["ports"][0]["port"] == 81


def test_the_order_of_a_set_does_not_matter(api: Api) -> None:
    """An object may stand before its namespace."""
    assert _results(_apply(api, service(namespace="shop"), namespace("shop")))[0][:2] == ("Namespace", "shop")


def test_one_mistake_keeps_the_whole_set_out(api: Api) -> None:
    """All violations are told with file and line, and nothing is stored."""
    wrong = http_route(rulez=[])
    homeless = service("lost", namespace="nowhere")
    answer = _apply(api, service(), _from(wrong, "shop.yaml", 7, spec=9), _from(homeless, "lost.yaml", 1))

    assert answer.status_code == 422
    places = {(item["file"], item["path"]) for item in answer.json()["violations"]}
    assert ("shop.yaml", "spec.rulez") in places
    assert ("lost.yaml", "metadata.namespace") in places
    assert all(item["line"] > 0 and item["problem"] for item in answer.json()["violations"])
    assert api.get("/api/v1/services").json()["items"] == []


def test_twice_the_same_object_is_a_mistake(api: Api) -> None:
    """A set holds each object once."""
    answer = _apply(api, service(), service(ports=(81,)))
    assert answer.status_code == 422
    assert "Duplicate" in answer.json()["violations"][0]["problem"]


def test_mistakes_that_admission_finds_are_told_together() -> None:
    """What only the running mesh knows is checked for every object before anything is stored."""
    from plait.resources.violations import Violation

    def admission(document: Any, old: Any) -> Any:
        name = document["metadata"]["name"]
        return document, (Violation(resource=f"Service {name}", problem="the port is taken"),)

    store = MemoryStore()
    made = {**namespace("default"), "metadata": {"name": "default", "resourceVersion": "1"}}
    store = MemoryStore([(ObjectKey(group="", kind="Namespace", namespace="", name="default"), made)], revision=1)
    api = Api(create_app(backend(store, admission=admission)))

    answer = _apply(api, service("a"), service("b"))

    assert [item["resource"] for item in answer.json()["violations"]] == ["Service a", "Service b"]
    assert store.revision == 1


def test_moving_a_document_is_no_change(api: Api) -> None:
    """A new place in a file is stored, but the object counts as unchanged and keeps its generation."""
    _apply(api, _from(service(), "a.yaml", 1))
    moved = _apply(api, _from(service(), "b.yaml", 40))

    stored = api.get("/api/v1/namespaces/default/services/reviews").json()
    assert _results(moved) == [("Service", "reviews", "unchanged")]
    assert "b.yaml" in stored["metadata"]["annotations"]["plait.dev/source"]
    assert stored["metadata"]["generation"] == 1
    assert "plait.dev/source" not in json.dumps(stored["metadata"]["managedFields"])


def test_a_dry_run_stores_nothing(api: Api) -> None:
    """The results are what would happen."""
    assert _results(_apply(api, service(), dryRun=True)) == [("Service", "reviews", "created")]
    assert api.get("/api/v1/services").json()["items"] == []


def test_pruning_deletes_what_the_owner_no_longer_has(api: Api) -> None:
    """Only objects of that owner go; other owners' and objects of nobody stay."""
    _apply(api, config_map("mine", a="1"), config_map("old", a="1"), namespace("old"), owner="shop")
    _apply(api, config_map("theirs"), owner="bank")
    _apply(api, config_map("nobodys"), {**config_map("inside"), "metadata": {"name": "inside", "namespace": "old"}})

    preview = _apply(api, config_map("mine", a="1"), owner="shop", prune=True, dryRun=True)
    pruned = _apply(api, config_map("mine", a="1"), owner="shop", prune=True)

    assert _results(preview) == _results(pruned)
    assert sorted(_results(pruned)) == [
        ("ConfigMap", "inside", "deleted"),
        ("ConfigMap", "mine", "unchanged"),
        ("ConfigMap", "old", "deleted"),
        ("Namespace", "old", "deleted"),
    ]
    names = [item["metadata"]["name"] for item in api.get("/api/v1/configmaps").json()["items"]]
    assert names == ["mine", "nobodys", "theirs"]
    assert _apply(api, prune=True).status_code == 422


def test_taking_an_object_out_of_anothers_set_is_told(api: Api) -> None:
    """The set that loses an object would take it back at its next apply: both have it."""
    first = _apply(api, config_map("mine", a="1"), owner="shop").json()["results"][0]
    again = _apply(api, config_map("mine", a="1"), owner="shop").json()["results"][0]
    taken = _apply(api, config_map("mine", a="1"), owner="bank").json()["results"][0]

    assert "was in the set" not in first["note"] + again["note"]
    assert "was in the set of shop, is in that of bank from now on" in taken["note"]


def test_fields_of_others_stay(api: Api) -> None:
    """What another writer added to the object is not removed by applying it again; what we change is ours."""
    _apply(api, service(tier="front"))
    path = "/api/v1/namespaces/default/services/reviews"
    api.patch(path, {"metadata": {"labels": {"zone": "a", "tier": "mid"}}}, "merge")

    _apply(api, service(tier="back"))

    assert api.get(path).json()["metadata"]["labels"] == {"tier": "back", "zone": "a"}
    assert _apply(api, service(tier="x"), fieldManager="other", force=False).status_code == 422


def test_kinds_that_nobody_knows_are_stored_and_served() -> None:
    """They are found under their plural, also by a server that starts on the same store."""
    store = MemoryStore()
    made = {**namespace("default"), "metadata": {"name": "default", "resourceVersion": "1"}}
    store = MemoryStore([(ObjectKey(group="", kind="Namespace", namespace="", name="default"), made)], revision=1)
    policy = {
        "apiVersion": "example.com/v1alpha1",
        "kind": "RetryPolicy",
        "metadata": {"name": "p", "namespace": "default"},
        "spec": {"anything": [1]},
    }
    assert _results(_apply(Api(create_app(backend(store))), policy)) == [("RetryPolicy", "p", "stored")]

    api = Api(create_app(backend(store)))
    path = "/apis/example.com/v1alpha1/namespaces/default/retrypolicies"
    assert api.get(f"{path}/p").json()["spec"] == {"anything": [1]}
    assert "example.com" in [group["name"] for group in api.get("/apis").json()["groups"]]
    assert api.get("/apis/example.com/v1alpha1").json()["resources"][0]["name"] == "retrypolicies"
    assert api.delete(f"{path}/p").status_code == 200


def test_a_slip_in_the_kind_is_a_mistake(api: Api) -> None:
    """In groups that are known as a whole an unknown kind is not stored."""
    answer = _apply(api, {**http_route(), "kind": "HTTPRoot"})
    assert answer.status_code == 422
    assert "HTTPRoute" in json.dumps(answer.json()["violations"])


def test_rubbish_is_refused(api: Api) -> None:
    """Whatever is sent as documents, the answer is a problem with violations."""
    rubbish: tuple[Any, ...] = (
        [{}],
        [{"kind": "Service"}],
        [{"apiVersion": 1, "kind": [], "metadata": "x"}],
        "x",
        [[]],
        None,
    )
    for documents in rubbish:
        answer = api.post(APPLY, json={"documents": documents})
        assert answer.status_code == 422, documents
        assert answer.json()["violations"]
