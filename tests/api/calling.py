"""A client that calls the application in this process, without a socket."""

import asyncio
from typing import Any

import httpx
from fastapi import FastAPI

from tests.api.serving import TOKEN

Headers = dict[str, str] | None


class Api:
    """Calls one application as the tester."""

    def __init__(self, app: FastAPI, *, token: str = TOKEN) -> None:
        self._app = app
        self._headers = {"authorization": f"Bearer {token}"} if token else {}

    def request(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, **options: Any
    ) -> httpx.Response:
        """The answer to one request."""

        async def call() -> httpx.Response:
            transport = httpx.ASGITransport(app=self._app)
            async with httpx.AsyncClient(transport=transport, base_url="http://plait:80") as client:
                return await client.request(method, path, headers={**self._headers, **(headers or {})}, **options)

        return asyncio.run(call())

    def get(self, path: str, **options: Any) -> httpx.Response:
        """GET."""
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        """POST."""
        return self.request("POST", path, **options)

    def put(self, path: str, **options: Any) -> httpx.Response:
        """PUT."""
        return self.request("PUT", path, **options)

    def delete(self, path: str, **options: Any) -> httpx.Response:
        """DELETE."""
        return self.request("DELETE", path, **options)

    def patch(self, path: str, body: Any, content_type: str, **options: Any) -> httpx.Response:
        """PATCH with a patch of that type (`merge`, `json`, `strategic-merge`, `apply`)."""
        full = {
            "apply": "application/apply-patch+yaml",
            **{name: f"application/{name}-patch+json" for name in ("merge", "json", "strategic-merge")},
        }
        return self.request("PATCH", path, json=body, headers={"content-type": full[content_type]}, **options)
