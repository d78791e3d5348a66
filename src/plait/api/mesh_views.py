"""/plait/v1: what only a mesh has. Views of the running mesh, applying sets, joining machines, tokens."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Body, Request, Response
from fastapi.routing import APIRoute

from plait.api import schemas
from plait.api.backend import Backend, settled
from plait.api.call import decode, read_body
from plait.api.mesh_apply import apply_set

_REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": schemas.Problem, "description": text}
    for status, text in ((401, "The caller is not known"), (422, "The input is wrong; every violation is listed"))
}


class _Request(Request):
    """A request whose body is read as everywhere in the API: bounded, and only JSON that can be written again."""

    async def body(self) -> bytes:
        """The body."""
        if not hasattr(self, "_body"):
            self._body = await read_body(self)
        return self._body

    async def json(self) -> Any:
        """The values in the body."""
        return decode(await self.body(), "application/json")


class _Route(APIRoute):
    """A route that reads bodies so."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """What handles a request."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            return await handler(_Request(request.scope, request.receive))

        return handle


def mesh_router(backend: Backend) -> APIRouter:
    """The routes below /plait/v1."""
    router = APIRouter(prefix="/plait/v1", responses=_REFUSALS, route_class=_Route)
    _add_views(router, backend)
    _add_actions(router, backend)
    return router


def _add_views(router: APIRouter, backend: Backend) -> None:
    @router.get("/status")
    async def status() -> schemas.Status:
        """The state of the mesh."""
        return await settled(backend.status())

    @router.get("/workloads")
    async def workloads() -> list[schemas.Workload]:
        """All workloads."""
        return list(await settled(backend.workloads()))

    @router.get("/proxies")
    async def proxies() -> list[schemas.Proxy]:
        """All proxies, and what they hold or refused."""
        return list(await settled(backend.proxies()))

    @router.get("/proxies/{namespace}/{name}/config")
    async def proxy_config(namespace: str, name: str) -> dict[str, Any]:
        """The configuration that a proxy was sent."""
        return dict(await settled(backend.proxy_config(namespace, name)))

    @router.get("/edges")
    async def edges() -> list[schemas.Edge]:
        """Traffic between workloads over the last window."""
        return list(await settled(backend.edges()))

    @router.post("/why")
    async def why(question: schemas.WhyQuestion) -> schemas.WhyAnswer:
        """Where a call would go, and why."""
        return await settled(backend.why(question))


def _add_actions(router: APIRouter, backend: Backend) -> None:
    @router.post("/apply")
    async def apply(request: schemas.ApplyRequest, caller: Request) -> schemas.ApplyAnswer:
        """Put a set of objects into force, all or nothing."""
        return await apply_set(backend, request, user=caller.state.user)

    @router.post("/join")
    async def join(body: Annotated[dict[str, Any], Body()], request: Request) -> dict[str, Any]:
        """Let a machine into the mesh by its join token."""
        address = request.client.host if request.client else ""
        return dict(await settled(backend.join(body, address)))

    @router.post("/tokens")
    async def create_token(body: Annotated[dict[str, Any], Body()], request: Request) -> dict[str, Any]:
        """A new token, for a machine or a user."""
        return dict(await settled(backend.create_token(body, request.state.user)))
