"""One request to the Kubernetes-shaped API, taken apart: the object or collection it is about, and its options."""

import asyncio
import contextlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from plait.api import protobuf_bodies
from plait.api.backend import Backend
from plait.api.errors import ApiError
from plait.api.kinds import Catalogue, Served
from plait.api.shapes import is_map, map_at

BODY_LIMIT = 16 << 20
"""Bytes of a request's body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a path names. `name` is empty for a collection, `namespace` for cluster-scoped kinds and all namespaces."""

    served: Served
    namespace: str = ""
    name: str = ""
    subresource: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request for a target."""

    backend: Backend
    target: Target
    method: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    stopping: asyncio.Event

    @property
    def dry_run(self) -> bool:
        """Whether nothing is to be written."""
        value = self.query.get("dryRun", "")
        if value not in ("", "All"):
            raise ApiError(400, f"dryRun={value} is not known", "use dryRun=All")
        return value == "All"

    @property
    def manager(self) -> str:
        """Who sets the fields: the `fieldManager` of the query, or the first word of the user agent."""
        agent = self.headers.get("user-agent", "").partition("/")[0].strip()
        return (self.query.get("fieldManager") or agent or "unknown")[:128]

    @property
    def content_type(self) -> str:
        """The media type of the body, without parameters."""
        return self.headers.get("content-type", "application/json").partition(";")[0].strip().lower()

    def flag(self, name: str) -> bool:
        """Whether a boolean option is set."""
        return self.query.get(name, "").lower() in ("1", "true", "t")

    def number(self, name: str) -> int:
        """A whole number given as an option, 0 if it is not."""
        text = self.query.get(name, "") or "0"
        if not text.isascii() or not text.isdigit():
            raise ApiError(400, f"{name}={text} is not a whole number")
        return int(text)

    def document(self) -> dict[str, Any]:
        """The body as one object with metadata."""
        value = decode(self.body, self.content_type)
        if not is_map(value):
            raise ApiError(400, "the body must be one object")
        if not is_map(value.get("metadata") or {}):
            raise ApiError(400, "metadata must be an object")
        return {**value, "metadata": map_at(value, "metadata")}


async def target_of(catalogue: Catalogue, group: str, version: str, rest: str) -> Target:
    """The target of a path below /api/VERSION or /apis/GROUP/VERSION."""
    parts = [part for part in rest.split("/") if part]
    namespace = ""
    if len(parts) > 2 and parts[0] == "namespaces" and (group or parts[2] not in ("status", "finalize")):
        namespace, parts = parts[1], parts[2:]
    if not 1 <= len(parts) <= 3:
        raise ApiError(404, "the server could not find the requested resource")
    served = await catalogue.served(group, version, parts[0])
    if namespace and not served.kind.namespaced:
        raise ApiError(404, f"{served.qualified} have no namespace")
    name, subresource = (*parts[1:], "", "")[:2]
    if subresource and not (subresource == "status" and served.kind.has_status):
        raise ApiError(404, f"{served.qualified} have no {subresource}")
    return Target(served=served, namespace=namespace, name=name, subresource=subresource)


async def read_body(request: Request) -> bytes:
    """The body of a request; ApiError 413 when it is larger than any object may be."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > BODY_LIMIT:
            raise ApiError(413, f"the body is larger than {BODY_LIMIT} bytes", "send fewer objects at a time")
        chunks.append(chunk)
    return b"".join(chunks)


def decode(body: bytes, content_type: str) -> Any:
    """A body as JSON values; YAML or protobuf where its media type says so."""
    if "yaml" in content_type:
        return _decode_yaml(body)
    if content_type == protobuf_bodies.MEDIA_TYPE:
        return protobuf_bodies.decode(body)
    try:
        return _json(body)
    except ValueError as error:
        raise ApiError(400, f"the body is not JSON: {error}") from None


def _json(body: bytes) -> Any:
    return json.loads(body, parse_constant=_refuse_constant, parse_float=_finite)


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is not a JSON value")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is too large")
    return number


def _decode_yaml(body: bytes) -> Any:
    with contextlib.suppress(ValueError):
        return _json(body)
    from plait.resources.yaml import load

    loaded = load(body.decode("utf-8", errors="replace"), file="body")
    if loaded.violations or len(loaded.documents) != 1:
        problem = str(loaded.violations[0]) if loaded.violations else "it must hold one document"
        raise ApiError(400, f"the body is not YAML as expected: {problem}")
    return loaded.documents[0].value
