"""Objects over HTTP: create, get, list, replace, delete, as Kubernetes' API conventions say."""

from typing import Any

import pytest

from tests.api.calling import Api
from tests.api.objects import config_map, deployment, http_route, namespace, service

SERVICES = "/api/v1/namespaces/default/services"
ROUTES = "/apis/gateway.networking.k8s.io/v1/namespaces/default/httproutes"
TABLE = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}


def _message(answer: Any) -> tuple[int, str, str]:
    status = answer.json()
    assert status["kind"] == "Status"
    assert status["code"] == answer.status_code
    return answer.status_code, status["reason"], status["message"]


def test_a_created_object_gets_its_identity(api: Api) -> None:
    """The server gives uid, time, generation 1 and a revision, keeps the rest, and drops a given status."""
    answer = api.post(SERVICES, json={**service(), "status": {"loadBalancer": {"x": 1}}})

    assert answer.status_code == 201
    created = answer.json()
    metadata = created["metadata"]
    assert metadata["uid"]
    assert metadata["creationTimestamp"].endswith("Z")
    assert metadata["generation"] == 1
    assert int(metadata["resourceVersion"]) > 1
    assert created["spec"]["clusterIP"] == "240.240.0.7"
    assert "status" not in created
    assert api.get(f"{SERVICES}/reviews").json() == created


def test_an_object_exists_once(api: Api) -> None:
    """Creating it again is refused by Kubernetes' words."""
    api.post(SERVICES, json=service())

    assert _message(api.post(SERVICES, json=service())) == (
        409,
        "AlreadyExists",
        'services "reviews" already exists',
    )


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_a_missing_object_is_not_found(api: Api, method: str) -> None:
    """Every verb on it answers 404 with the details that clients look at."""
    headers = {"content-type": "application/merge-patch+json"} if method == "PATCH" else {}
    answer = api.request(method, f"{ROUTES}/nope", json=http_route("nope"), headers=headers)
    if method == "DELETE":
        answer = api.delete(f"{ROUTES}/nope")

    assert _message(answer) == (404, "NotFound", 'httproutes.gateway.networking.k8s.io "nope" not found')
    assert answer.json()["details"] == {"name": "nope", "group": "gateway.networking.k8s.io", "kind": "httproutes"}


def test_generation_counts_changes_of_the_specification(api: Api) -> None:
    """A label is no change of the specification; a port is; writing the same again changes nothing at all."""
    first = api.post(SERVICES, json=service()).json()
    labelled = api.put(f"{SERVICES}/reviews", json=service(tier="front")).json()
    same = api.put(f"{SERVICES}/reviews", json=service(tier="front")).json()
    wider = api.put(f"{SERVICES}/reviews", json=service(ports=(80, 81), tier="front")).json()

    assert [one["metadata"]["generation"] for one in (first, labelled, same, wider)] == [1, 1, 1, 2]
    assert same == labelled
    assert wider["metadata"]["uid"] == first["metadata"]["uid"]
    assert wider["metadata"]["creationTimestamp"] == first["metadata"]["creationTimestamp"]
    assert wider["spec"]["clusterIP"] == first["spec"]["clusterIP"]


def test_a_stale_write_is_a_conflict(api: Api) -> None:
    """Who read an older revision must read again."""
    created = api.post(SERVICES, json=service()).json()
    api.put(f"{SERVICES}/reviews", json=service(ports=(81,)))

    code, reason, message = _message(api.put(f"{SERVICES}/reviews", json=created))

    assert (code, reason) == (409, "Conflict")
    assert "the object has been modified" in message


def test_mistakes_are_listed_all_at_once(api: Api) -> None:
    """Every violation is a cause with its field, in one Status."""
    route = http_route()
    route["spec"]["rulez"] = []
    route["spec"]["rules"][0]["backendRefs"][0]["port"] = "80"

    answer = api.post(ROUTES, json=route)

    code, reason, message = _message(answer)
    assert (code, reason) == (422, "Invalid")
    assert message.startswith('HTTPRoute.gateway.networking.k8s.io "reviews" is invalid: [')
    assert {cause["field"] for cause in answer.json()["details"]["causes"]} == {
        "spec.rulez",
        "spec.rules[0].backendRefs[0].port",
    }


def test_the_namespace_must_exist(api: Api) -> None:
    """An object in a namespace that nobody made is refused, with how to make it."""
    code, reason, message = _message(api.post("/api/v1/namespaces/shop/services", json=service(namespace="shop")))
    assert (code, reason) == (404, "NotFound")
    assert message == 'namespaces "shop" not found; make it: kubectl create namespace shop'

    api.post("/api/v1/namespaces", json=namespace("shop"))
    assert api.post("/api/v1/namespaces/shop/services", json=service(namespace="shop")).status_code == 201


def test_a_deleted_namespace_takes_its_objects_along(api: Api) -> None:
    """What is in the namespace goes with it; the mesh's own namespaces stay."""
    api.post("/api/v1/namespaces", json=namespace("shop"))
    api.post("/api/v1/namespaces/shop/services", json=service(namespace="shop"))
    api.post(SERVICES, json=service())

    assert api.delete("/api/v1/namespaces/shop").json()["status"] == "Success"

    assert [item["metadata"]["namespace"] for item in api.get("/api/v1/services").json()["items"]] == ["default"]
    assert _message(api.delete("/api/v1/namespaces/default"))[:2] == (403, "Forbidden")


def test_the_path_and_the_body_must_agree(api: Api) -> None:
    """A body that names another object, kind or namespace than its path is refused."""
    for path, document in (
        (SERVICES, service(namespace="shop")),
        (SERVICES, http_route()),
        (f"{SERVICES}/ratings", service()),
    ):
        api.post(SERVICES, json=service("ratings"))
        answer = api.put(path, json=document) if path.endswith("ratings") else api.post(path, json=document)
        assert _message(answer)[:2] == (400, "BadRequest")


def test_a_name_can_be_generated(api: Api) -> None:
    """generateName gives each object another name."""
    document = config_map("")
    document["metadata"] = {"generateName": "batch-"}
    path = "/api/v1/namespaces/default/configmaps"

    names = {api.post(path, json=document).json()["metadata"]["name"] for _ in range(3)}

    assert len(names) == 3
    assert all(name.startswith("batch-") and len(name) == 11 for name in names)


def test_dry_run_writes_nothing(api: Api) -> None:
    """The answer is what would be stored; nothing is."""
    assert api.post(f"{SERVICES}?dryRun=All", json=service()).json()["spec"]["clusterIP"]
    assert api.get(f"{SERVICES}/reviews").status_code == 404
    api.post(SERVICES, json=service())
    assert api.put(f"{SERVICES}/reviews?dryRun=All", json=service(ports=(9,))).json()["spec"]["ports"][0]["port"] == 9
    assert api.delete(f"{SERVICES}/reviews?dryRun=All").status_code == 200
    assert api.get(f"{SERVICES}/reviews").json()["spec"]["ports"][0]["port"] == 80
    assert _message(api.post(f"{SERVICES}?dryRun=Some", json=service()))[:2] == (400, "BadRequest")


def test_lists_are_filtered_and_paged(api: Api) -> None:
    """Selectors choose; limit and continue walk through everything once."""
    for index in range(5):
        api.post(SERVICES, json=service(f"s{index}", tier="front" if index % 2 else "back"))

    def names(query: str) -> list[str]:
        return [item["metadata"]["name"] for item in api.get(f"{SERVICES}?{query}").json()["items"]]

    assert names("labelSelector=tier=front") == ["s1", "s3"]
    assert names("labelSelector=tier notin (front)") == ["s0", "s2", "s4"]
    assert names("fieldSelector=metadata.name=s2") == ["s2"]
    assert names("fieldSelector=metadata.name!=s2&labelSelector=tier in (back)") == ["s0", "s4"]

    seen: list[str] = []
    token = ""
    while True:
        page = api.get(SERVICES, params={"limit": "2", "continue": token}).json()
        seen += [item["metadata"]["name"] for item in page["items"]]
        token = page["metadata"].get("continue", "")
        if not token:
            break
    assert seen == ["s0", "s1", "s2", "s3", "s4"]
    assert _message(api.get(f"{SERVICES}?continue=rubbish"))[:2] == (400, "BadRequest")
    assert _message(api.get(f"{SERVICES}?labelSelector=a=b=c"))[:2] == (400, "BadRequest")


def test_a_collection_can_be_deleted(api: Api) -> None:
    """Only what the selectors choose goes."""
    for name, tier in (("a", "front"), ("b", "back")):
        api.post(SERVICES, json=service(name, tier=tier))

    deleted = api.delete(f"{SERVICES}?labelSelector=tier=front").json()

    assert [item["metadata"]["name"] for item in deleted["items"]] == ["a"]
    assert [item["metadata"]["name"] for item in api.get(SERVICES).json()["items"]] == ["b"]


def test_status_is_written_apart(api: Api) -> None:
    """The status subresource changes only the status, and writing the object does not change the status."""
    created = api.post(ROUTES, json=http_route()).json()
    parents: Any = [{"parentRef": {"name": "reviews"}, "controllerName": "plait.dev/gateway", "conditions": []}]

    written = api.put(f"{ROUTES}/reviews/status", json={**created, "spec": {}, "status": {"parents": parents}}).json()
    assert written["spec"] == created["spec"]
    assert written["metadata"]["generation"] == 1

    replaced = api.put(f"{ROUTES}/reviews", json={**http_route(backend="other"), "status": {}}).json()
    assert replaced["status"] == {"parents": parents}
    assert api.get(f"{ROUTES}/reviews/status").json() == replaced
    assert api.get("/api/v1/namespaces/default/configmaps/x/status").status_code == 404


def test_versions_of_a_kind_are_one_object(api: Api) -> None:
    """What is written in one version is read in another."""
    old = "/apis/gateway.networking.k8s.io/v1beta1/namespaces/default/httproutes"
    route = {**http_route(), "apiVersion": "gateway.networking.k8s.io/v1beta1"}

    assert api.post(old, json=route).json()["apiVersion"] == "gateway.networking.k8s.io/v1beta1"
    assert api.get(f"{ROUTES}/reviews").json()["apiVersion"] == "gateway.networking.k8s.io/v1"
    assert api.get(old).json()["items"][0]["apiVersion"] == "gateway.networking.k8s.io/v1beta1"


def test_kinds_that_are_only_stored_are_served(api: Api) -> None:
    """A Deployment is kept and given back like any object."""
    path = "/apis/apps/v1/namespaces/default/deployments"
    api.post(path, json=deployment())

    assert api.get(f"{path}/web").json()["spec"] == deployment()["spec"]


def test_tables_show_the_columns_of_the_kind(api: Api) -> None:
    """A client that accepts tables gets cells, and metadata to work with."""
    api.post(SERVICES, json=service(ports=(80, 81)))

    table = api.get(SERVICES, headers=TABLE).json()
    one = api.get(f"{SERVICES}/reviews?includeObject=Object", headers=TABLE).json()

    columns = [column["name"] for column in table["columnDefinitions"]]
    cells = dict(zip(columns, table["rows"][0]["cells"], strict=True))
    assert columns[0] == "Name"
    assert cells["Name"] == "reviews"
    assert cells["Cluster-IP"] == "240.240.0.7"
    assert "80" in cells["Port(s)"]
    assert cells["Age"] == "0s"
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    assert one["rows"][0]["object"]["kind"] == "Service"


def test_null_fields_are_as_left_out(api: Api) -> None:
    """What templates leave empty does not become a value."""
    document = service()
    document["metadata"]["creationTimestamp"] = None
    document["metadata"]["labels"] = None
    document["spec"]["type"] = None

    created = api.post(SERVICES, json=document).json()

    assert created["metadata"]["creationTimestamp"]
    assert "labels" not in created["metadata"]
    assert "type" not in created["spec"]
