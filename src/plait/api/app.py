"""The API as an ASGI application: the Kubernetes-shaped half and the views of /plait/v1, behind one guard."""

import asyncio

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from plait import __version__
from plait.api.backend import Backend
from plait.api.errors import ApiError, invalid
from plait.api.guard import Guard
from plait.api.kubernetes import KubernetesApi
from plait.api.mesh_views import mesh_router
from plait.resources.violations import Violation

_PROBLEMS = {
    404: "the server could not find the requested resource",
    405: "this method is not allowed here",
}


def create_app(backend: Backend) -> FastAPI:
    """The API over a backend. `app.state.stopping` (an asyncio.Event) ends open watches when it is set."""
    app = FastAPI(
        title="Plait",
        version=__version__,
        openapi_url="/plait/v1/openapi",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.stopping = asyncio.Event()
    app.add_middleware(Guard, backend=backend)
    app.add_exception_handler(HTTPException, _refuse_path)
    app.add_exception_handler(RequestValidationError, _refuse_input)
    app.router.routes.extend(KubernetesApi(backend, app.state.stopping).routes())
    app.include_router(mesh_router(backend))
    return app


async def _refuse_path(_: Request, error: Exception) -> Response:
    if isinstance(error.__cause__, ApiError | RecursionError):
        raise error.__cause__
    status = error.status_code if isinstance(error, HTTPException) else 404
    raise ApiError(status, _PROBLEMS.get(status, "the request cannot be read"))


async def _refuse_input(_: Request, error: Exception) -> Response:
    errors = error.errors() if isinstance(error, RequestValidationError) else ()
    raise invalid(
        tuple(
            Violation(path=".".join(str(part) for part in item["loc"] if part != "body"), problem=str(item["msg"]))
            for item in errors
        )
    )
