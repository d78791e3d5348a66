"""What every service of the shop shares: where it listens, and a health page."""

import os

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Route


async def health(_request: Request) -> PlainTextResponse:
    return PlainTextResponse("ok")


def serve(routes: list[BaseRoute]) -> None:
    """Serve the routes on PORT until asked to stop."""
    app = Starlette(routes=[Route("/health", health), *routes])
    uvicorn.run(app, host="0.0.0.0", port=int(os.environ["PORT"]), log_level="warning")
