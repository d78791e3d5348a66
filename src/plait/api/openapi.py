"""The OpenAPI v2 document of the Kubernetes-shaped half, as JSON and as the protobuf message that kubectl reads.

kubectl takes three things from it: the schemas of kinds (`explain`, and the check before `apply`), how their lists
merge (for its patches), and whether a kind's PATCH knows `dryRun`. Kinds that are only stored have paths but no
schema, so that kubectl neither checks them nor forgets how their lists merge.
"""

import json
from functools import lru_cache
from typing import Any

from plait import __version__
from plait.api.kinds import Served
from plait.api.openapi_message import encode
from plait.api.openapi_schemas import definition_name, definitions
from plait.resources import registry

_ACCEPTED = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
_PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
"""What clients ask for has an `@`, which Go does not read in the media type of an answer."""
_DRY_RUN = ("dryRun", "string", "`All`: check and answer, but write nothing.")
_MANAGER = ("fieldManager", "string", "Who sets the fields.")
_VALIDATION = ("fieldValidation", "string", "Accepted; unknown fields are always refused.")
_FORCE = ("force", "boolean", "Take over fields that others set (apply patches).")
_SELECTORS = (
    ("labelSelector", "string", "Only objects whose labels match."),
    ("fieldSelector", "string", "Only objects whose fields have these values."),
)
_LISTING = (
    *_SELECTORS,
    ("limit", "integer", "At most so many objects; the answer's `continue` leads to the next ones."),
    ("continue", "string", "Where the page before ended."),
    ("watch", "boolean", "A stream of changes instead of a list."),
    ("resourceVersion", "string", "The revision after which a watch begins."),
    ("timeoutSeconds", "integer", "How long a watch lasts."),
    ("allowWatchBookmarks", "boolean", "Whether a watch tells how far it has got."),
)
_PATCHES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)


def served(accept: str) -> tuple[bytes, str]:
    """The document in the form that a client accepts, and its media type."""
    if _ACCEPTED in accept or _PROTOBUF in accept:
        return _protobuf(), _PROTOBUF
    return _json(), "application/json"


@lru_cache(maxsize=1)
def _json() -> bytes:
    return json.dumps(document(), separators=(",", ":")).encode()


@lru_cache(maxsize=1)
def _protobuf() -> bytes:
    return encode(document())


def document() -> dict[str, Any]:
    """The OpenAPI v2 document."""
    kinds = [Served(kind=kind, version=version) for kind in registry.KINDS for version in kind.versions]
    paths: dict[str, Any] = {}
    for kind in kinds:
        paths.update(_paths(kind))
    return {
        "swagger": "2.0",
        "info": {"title": "Plait", "version": __version__},
        "paths": paths,
        "definitions": definitions(kinds),
    }


def _paths(kind: Served) -> dict[str, Any]:
    prefix = f"/apis/{kind.api_version}" if kind.kind.group else f"/api/{kind.version}"
    scope = "/namespaces/{namespace}" if kind.kind.namespaced else ""
    collection = f"{prefix}{scope}/{kind.kind.plural}"
    parameters = [_path_parameter("namespace")] if kind.kind.namespaced else []
    named = [*parameters, _path_parameter("name")]
    paths = {
        collection: {"parameters": parameters, **_collection(kind)},
        f"{collection}/{{name}}": {"parameters": named, **_object(kind, "")},
    }
    if kind.kind.namespaced:
        paths[f"{prefix}/{kind.kind.plural}"] = {"get": _operation(kind, "list", "ForAllNamespaces", query=_LISTING)}
    if kind.kind.has_status:
        paths[f"{collection}/{{name}}/status"] = {"parameters": named, **_object(kind, "Status")}
    return paths


def _collection(kind: Served) -> dict[str, Any]:
    return {
        "get": _operation(kind, "list", "", query=_LISTING),
        "post": _operation(kind, "post", "", query=(_DRY_RUN, _MANAGER, _VALIDATION), body=True),
        "delete": _operation(kind, "deletecollection", "", query=(*_SELECTORS, _DRY_RUN)),
    }


def _object(kind: Served, suffix: str) -> dict[str, Any]:
    writing = (_DRY_RUN, _MANAGER, _VALIDATION)
    operations = {
        "get": _operation(kind, "get", suffix),
        "put": _operation(kind, "put", suffix, query=writing, body=True),
        "patch": {**_operation(kind, "patch", suffix, query=(*writing, _FORCE), body=True), "consumes": list(_PATCHES)},
    }
    return operations if suffix else {**operations, "delete": _operation(kind, "delete", "", query=(_DRY_RUN,))}


def _operation(
    kind: Served, action: str, suffix: str, *, query: tuple[tuple[str, str, str], ...] = (), body: bool = False
) -> dict[str, Any]:
    schema = {"$ref": f"#/definitions/{definition_name(kind)}"} if kind.kind.model else {"type": "object"}
    answer = schema if action in ("get", "put", "post", "patch") else {"type": "object"}
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "query", "type": kind_of, "description": text} for name, kind_of, text in query
    ]
    if body:
        given = {"type": "object"} if action == "patch" else schema
        parameters.append({"name": "body", "in": "body", "required": True, "schema": given})
    group = "".join(part.capitalize() for part in kind.kind.group.split(".")) or "Core"
    return {
        "operationId": f"{action}{group}{kind.version.capitalize()}{kind.kind.kind}{suffix}",
        "produces": ["application/json"],
        "parameters": parameters,
        "responses": {"200": {"description": "OK", "schema": answer}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": {
            "group": kind.kind.group,
            "version": kind.version,
            "kind": kind.kind.kind,
        },
    }


def _path_parameter(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "type": "string", "required": True}
