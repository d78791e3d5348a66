"""The objects that every mesh starts with."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from plait.errors import ConflictError
from plait.model.gateways import CONTROLLER
from plait.store.store import Document, ObjectKey, Store, Write

Finish = Callable[[Mapping[str, Any], Document | None], dict[str, Any]]
ROOT_NAMESPACE = "istio-system"
SYSTEM_NAMESPACE = "plait-system"


MARK: Final = ObjectKey(group="", kind="ConfigMap", namespace=SYSTEM_NAMESPACE, name="plait-mesh")
"""What says that a store holds a mesh."""


def object_of(api_version: str, kind: str, name: str, namespace: str = "", **parts: Any) -> dict[str, Any]:
    """A Kubernetes-shaped document."""
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **parts}


def key_of(value: dict[str, Any]) -> ObjectKey:
    """The store's key of a document."""
    group, _, _ = str(value["apiVersion"]).rpartition("/")
    metadata = value["metadata"]
    return ObjectKey(group=group, kind=value["kind"], namespace=metadata.get("namespace", ""), name=metadata["name"])


def first_objects(*, strict: bool) -> Iterator[dict[str, Any]]:
    """Namespaces with their default accounts, our GatewayClass and, if wanted, mesh-wide STRICT mutual TLS."""
    for namespace in ("default", ROOT_NAMESPACE, SYSTEM_NAMESPACE):
        yield object_of("v1", "Namespace", namespace)
        yield object_of("v1", "ServiceAccount", "default", namespace)
    yield object_of("gateway.networking.k8s.io/v1", "GatewayClass", "plait", spec={"controllerName": CONTROLLER})
    if strict:
        yield object_of(
            "security.istio.io/v1",
            "PeerAuthentication",
            "default",
            ROOT_NAMESPACE,
            spec={"mtls": {"mode": "STRICT"}},
        )


async def seed(store: Store, finish: Finish, *, strict: bool) -> None:
    """Write the first objects of a new mesh, once: whatever a user removes later stays removed.

    `finish` completes a document's metadata as the API does on creation.
    """
    mark = object_of("v1", "ConfigMap", MARK.name, SYSTEM_NAMESPACE, data={"format": "1"})
    if await store.get(key_of(mark)):
        return
    objects = [*first_objects(strict=strict), mark]
    try:
        await store.commit([Write(key=key_of(item), document=finish(item, None), expected=0) for item in objects])
    except ConflictError:
        return
