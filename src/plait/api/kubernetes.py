"""The Kubernetes-shaped half of the API: paths below /api, /apis, /openapi and /version."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from plait.api import discovery, objects, openapi, watch
from plait.api.backend import Backend
from plait.api.call import Call, read_body, target_of
from plait.api.kinds import Catalogue
from plait.api.secrecy import refuse_kept

Endpoint = Callable[[Request], Awaitable[Response]]
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


class KubernetesApi:
    """Answers the paths of a Kubernetes API server."""

    def __init__(self, backend: Backend, stopping: asyncio.Event) -> None:
        self._backend = backend
        self._stopping = stopping
        self._catalogue = Catalogue(backend.store)

    def routes(self) -> list[Route]:
        """The routes, to be added to an application."""
        return [
            *(Route(path, _healthy) for path in ("/healthz", "/livez", "/readyz")),
            Route("/version", self._version),
            Route("/openapi/v2", self._openapi),
            Route("/api", self._core_versions),
            Route("/apis", self._groups),
            Route("/apis/{group}", self._group),
            Route("/api/{version}", self._kinds),
            Route("/apis/{group}/{version}", self._kinds),
            Route("/api/{version}/{rest:path}", self._objects, methods=_METHODS),
            Route("/apis/{group}/{version}/{rest:path}", self._objects, methods=_METHODS),
        ]

    async def _version(self, _: Request) -> Response:
        return json_response(discovery.version())

    async def _core_versions(self, _: Request) -> Response:
        return json_response(discovery.core_versions())

    async def _groups(self, _: Request) -> Response:
        return json_response(await discovery.groups(self._catalogue))

    async def _group(self, request: Request) -> Response:
        return json_response(await discovery.group(self._catalogue, request.path_params["group"]))

    async def _kinds(self, request: Request) -> Response:
        group, version = request.path_params.get("group", ""), request.path_params["version"]
        return json_response(await discovery.kinds(self._catalogue, group, version))

    async def _openapi(self, request: Request) -> Response:
        accept = request.headers.get("accept", "")
        content, content_type = await asyncio.to_thread(openapi.served, accept)
        return Response(content, media_type=content_type)

    async def _objects(self, request: Request) -> Response:
        group, version = request.path_params.get("group", ""), request.path_params["version"]
        target = await target_of(self._catalogue, group, version, request.path_params["rest"])
        refuse_kept(request.state.user, request.method, target.served.key(target.namespace, target.name))
        call = Call(
            backend=self._backend,
            target=target,
            method=request.method if request.method != "HEAD" else "GET",
            query=request.query_params,
            headers=request.headers,
            body=await read_body(request),
            stopping=self._stopping,
        )
        if watch.is_watch(call):
            return StreamingResponse(watch.events(call), media_type="application/json")
        status, document = await objects.answer(call)
        return json_response(document, status)


def json_response(document: Mapping[str, Any], status: int = 200) -> Response:
    """A JSON answer."""
    return Response(json.dumps(document, separators=(",", ":")), status_code=status, media_type="application/json")


async def _healthy(_: Request) -> Response:
    return PlainTextResponse("ok")
