"""One page with every route of the API."""

from collections.abc import Iterator, Mapping
from typing import Any

from plait.api.app import create_app
from plait.api.backend import Backend
from plait.api.kubernetes import KubernetesApi
from plait.store.memory import MemoryStore
from reference_pages.markdown import code, page, table

KUBERNETES: Mapping[str, str] = {
    "/healthz": "`ok` while the process serves; needs no token",
    "/livez": "the same",
    "/readyz": "the same",
    "/version": "version, in Kubernetes' form",
    "/openapi/v2": "schemas of all kinds, as JSON or as protobuf (by `Accept`)",
    "/api": "versions of the core group",
    "/apis": "all other groups",
    "/apis/{group}": "one group",
    "/api/{version}": "kinds of the core group",
    "/apis/{group}/{version}": "kinds of a group",
    "/api/{version}/{rest:path}": "objects of the core group",
    "/apis/{group}/{version}/{rest:path}": "objects of a group",
}
"""What the routes below Kubernetes' paths are for."""

OBJECTS = """Objects are at `namespaces/NAMESPACE/KINDS/NAME`, or `KINDS/NAME` for kinds without namespace; without NAME
it is the list, `KINDS` alone is the list over all namespaces. `NAME/status` is the status by itself.

| Method | Does |
| --- | --- |
| GET | read one or list; `?watch=1` follows changes from `resourceVersion` on |
| POST | create |
| PUT | replace; with `resourceVersion` only if nobody changed it meanwhile |
| PATCH | by `Content-Type`: JSON patch, merge patch, strategic merge patch, or server-side apply (`fieldManager`) |
| DELETE | delete one, or on a list all that the selectors choose |

Queries: `labelSelector`, `fieldSelector` (name and namespace), `limit` and `continue`, `dryRun=All`,
`timeoutSeconds`, `allowWatchBookmarks`. With `Accept: application/json;as=Table;v=v1;g=meta.k8s.io` lists are tables.
Refusals are `Status` objects, as Kubernetes' clients expect."""

ACCESS = """The API listens on a unix socket that only its owner may open, and on TLS at the loopback address. `plait up
--listen ADDRESS` opens it to other machines. Over TLS a bearer token is needed: `plait token create --user NAME`.
Secrets, and writes to `plait-system`, are for the owner only: others get 403.
`plait status` prints where it is."""


def pages() -> dict[str, str]:
    """api.md."""
    app = create_app(Backend(store=MemoryStore()))
    routes = KubernetesApi(Backend(store=MemoryStore()), app.state.stopping).routes()
    kubernetes = [[code(route.path), KUBERNETES[route.path]] for route in routes]
    return {
        "api.md": page(
            "API",
            ACCESS,
            "## Kubernetes-shaped",
            "`kubectl`, client libraries and other tools for Kubernetes work with these.",
            table(("Path", "What it is"), kubernetes),
            OBJECTS,
            "## Of the mesh alone",
            "Answers are the schemas in `schemas/`; refusals are [problems](schemas/problem.json) (RFC 9457)."
            " OpenAPI is at `/plait/v1/openapi`.",
            table(("Method", "Path", "What it is", "Answer"), _own(app.openapi())),
        )
    }


def _own(document: Mapping[str, Any]) -> Iterator[list[str]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield [method.upper(), code(path), str(operation["description"]).rstrip("."), _answer(operation)]


def _answer(operation: Mapping[str, Any]) -> str:
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    if schema.get("type") == "array":
        return f"list of {_name(schema['items'])}"
    return _name(schema)


def _name(schema: Mapping[str, Any]) -> str:
    return str(schema["$ref"]).rpartition("/")[2] if "$ref" in schema else "object"
