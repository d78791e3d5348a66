"""The `kubernetes` package from PyPI, unchanged, against a real server with TLS and a token."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.objects import config_map, gateway, http_route, service
from tests.api.serving import Serving

kubernetes: Any = pytest.importorskip("kubernetes")

pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
GATEWAY_API = {"group": "gateway.networking.k8s.io", "version": "v1", "namespace": "default"}


@pytest.fixture
def client(server: Serving) -> Iterator[Any]:
    """An API client by the server's kubeconfig."""
    with kubernetes.config.new_client_from_config(str(server.kubeconfig)) as client:
        yield client


@pytest.fixture
def core(client: Any) -> Any:
    """The typed client of the core group."""
    return kubernetes.client.CoreV1Api(client)


@pytest.fixture
def custom(client: Any) -> Any:
    """The client of kinds it has no types for."""
    return kubernetes.client.CustomObjectsApi(client)


def test_typed_objects(core: Any) -> None:
    """Create, read, list, replace, patch and delete with the client's own types."""
    core.create_namespaced_service("default", service(tier="front"))
    read = core.read_namespaced_service("reviews", "default")
    assert (read.spec.ports[0].port, read.metadata.labels) == (80, {"tier": "front"})

    read.spec.ports[0].port = 81
    assert core.replace_namespaced_service("reviews", "default", read).spec.ports[0].port == 81
    with pytest.raises(kubernetes.client.ApiException) as stale:
        core.replace_namespaced_service("reviews", "default", read)
    assert stale.value.status == 409
    patched = core.patch_namespaced_service("reviews", "default", {"metadata": {"labels": {"zone": "a"}}})
    assert patched.metadata.labels == {"tier": "front", "zone": "a"}
    assert [item.metadata.name for item in core.list_service_for_all_namespaces(label_selector="zone=a").items] == [
        "reviews"
    ]
    core.delete_namespaced_service("reviews", "default")
    assert core.list_namespaced_service("default").items == []


def test_all_kinds_of_patch(custom: Any) -> None:
    """Merge patches are this client's choice, the others are asked for by their media type."""
    custom.create_namespaced_custom_object(**GATEWAY_API, plural="gateways", body=gateway("a"))

    merged = custom.patch_namespaced_custom_object(
        **GATEWAY_API, plural="gateways", name="edge", body={"metadata": {"labels": {"a": "b"}}}
    )
    operation = {"op": "replace", "path": "/spec/listeners/0/port", "value": 9000}
    replaced = custom.patch_namespaced_custom_object(
        **GATEWAY_API, plural="gateways", name="edge", body=[operation], _content_type="application/json-patch+json"
    )
    applied = custom.patch_namespaced_custom_object(
        **GATEWAY_API,
        plural="gateways",
        name="edge",
        body=gateway("a", "b"),
        field_manager="tester",
        force=True,
        _content_type="application/apply-patch+yaml",
    )

    assert merged["metadata"]["labels"] == {"a": "b"}
    assert replaced["spec"]["listeners"][0]["port"] == 9000
    assert [listener["port"] for listener in applied["spec"]["listeners"]] == [8001, 8002]


def test_status_of_a_custom_object(custom: Any) -> None:
    """A controller writes the status apart from the object."""
    created = custom.create_namespaced_custom_object(**GATEWAY_API, plural="httproutes", body=http_route())
    written = custom.replace_namespaced_custom_object_status(
        **GATEWAY_API, plural="httproutes", name="reviews", body={**created, "status": {"parents": []}}
    )
    assert written["status"] == {"parents": []}
    with pytest.raises(kubernetes.client.ApiException) as missing:
        custom.get_namespaced_custom_object(**GATEWAY_API, plural="httproutes", name="nope")
    assert missing.value.status == 404


def test_watch(core: Any) -> None:
    """A watch yields events from the list's revision until it is stopped."""
    core.create_namespaced_service("default", service("before"))
    watch = kubernetes.watch.Watch()
    timer = threading.Timer(0.3, lambda: core.create_namespaced_service("default", service("after")))
    timer.start()
    seen: list[tuple[str, str]] = []
    for event in watch.stream(core.list_namespaced_service, "default", timeout_seconds=10):
        seen.append((event["type"], event["object"].metadata.name))
        if len(seen) == 2:
            watch.stop()
    timer.join()
    assert seen == [("ADDED", "before"), ("ADDED", "after")]


def test_dynamic_client(client: Any, tmp_path: Path) -> None:
    """The client that works by discovery finds kinds, applies by server-side apply and deletes."""
    dynamic = kubernetes.dynamic.DynamicClient(client, cache_file=str(tmp_path / "discovery"))
    routes = dynamic.resources.get(api_version="gateway.networking.k8s.io/v1", kind="HTTPRoute")
    maps = dynamic.resources.get(api_version="v1", kind="ConfigMap")

    routes.create(body=http_route(), namespace="default")
    maps.server_side_apply(body=config_map("settings", key="1"), field_manager="tester")
    changed = maps.server_side_apply(body=config_map("settings", key="2"), field_manager="tester")

    assert routes.get(name="reviews", namespace="default").spec.rules[0].backendRefs[0].name == "reviews"
    assert changed.data.key == "2"
    routes.delete(name="reviews", namespace="default")
    assert routes.get(namespace="default").items == []


def test_collections_and_pages(core: Any) -> None:
    """Pages hang together; a collection is deleted by its labels."""
    for name in ("a", "b", "c"):
        core.create_namespaced_config_map("default", config_map(name))
    first = core.list_namespaced_config_map("default", limit=2)
    second = core.list_namespaced_config_map("default", limit=2, _continue=first.metadata._continue)

    assert [item.metadata.name for item in (*first.items, *second.items)] == ["a", "b", "c"]
    core.delete_collection_namespaced_config_map("default")
    assert core.list_namespaced_config_map("default").items == []


def test_version(client: Any) -> None:
    """The version endpoint names Plait."""
    assert "plait" in kubernetes.client.VersionApi(client).get_code().git_version
