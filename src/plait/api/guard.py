"""The outermost layer of the API: who is calling, and what becomes of every exception.

Callers over the unix socket (where ASGI names a path and no port) are its owner; others show a bearer token.
Nothing that is raised below leaves a trace with the client: it gets a Status or a problem, and the id under which
the log has more.
"""

import json
import logging
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from plait.api.backend import Backend, settled
from plait.api.errors import ApiError, answer, problem_document, status_document

log = logging.getLogger(__name__)

_OPEN = frozenset({"/healthz", "/livez", "/readyz", "/plait/v1/join", "/plait/v1/bundle"})
"""Paths for everyone; joining checks a token of its own, the trust bundle is public."""


class Guard:
    """Wraps the application."""

    def __init__(self, app: ASGIApp, backend: Backend) -> None:
        self._app = app
        self._backend = backend

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope["path"] = scope["path"].rstrip("/") or "/"
        request_id = uuid.uuid4().hex[:16]
        started = False

        async def send_noted(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message = {**message, "headers": [*message["headers"], (b"x-request-id", request_id.encode())]}
            await send(message)

        try:
            scope.setdefault("state", {})["user"] = await self._user(scope)
            await self._app(scope, receive, send_noted)
        except Exception as error:
            refusal = answer(error, request_id)
            if started:
                log.warning("request %s ended within its answer: %s", request_id, refusal)
                raise
            await _send(send_noted, scope["path"], refusal, request_id)

    async def _user(self, scope: Scope) -> str:
        if scope["path"] in _OPEN:
            return ""
        user = await settled(self._backend.authenticate(bearer(scope["headers"]), is_unix(scope)))
        if not user:
            raise ApiError(401, "Unauthorized", "send the header Authorization: Bearer TOKEN (`plait token create`)")
        return user


def is_unix(scope: Mapping[str, Any]) -> bool:
    """Whether the request came over a unix socket: the server's address is a path and has no port."""
    host, port = scope.get("server") or ("", 0)
    return port is None and host.startswith("/")


def bearer(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The bearer token of a request."""
    for name, value in headers:
        if name == b"authorization":
            scheme, _, token = value.decode("latin-1").partition(" ")
            return token.strip() if scheme.lower() == "bearer" else None
    return None


async def _send(send: Send, path: str, error: ApiError, request_id: str) -> None:
    mesh = path.startswith("/plait/")
    document = problem_document(error, request_id) if mesh else status_document(error)
    body = json.dumps(document).encode()
    content_type = b"application/problem+json" if mesh else b"application/json"
    headers = [(b"content-type", content_type), (b"content-length", str(len(body)).encode())]
    if error.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
