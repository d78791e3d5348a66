"""Who may call, and what a client sees when something goes wrong."""

import json
import logging
from collections.abc import Mapping
from typing import Any

import pytest

from plait.api.app import create_app
from plait.api.guard import bearer, is_unix
from plait.errors import (
    ConflictError,
    DeadlineError,
    ForbiddenError,
    InvalidInputError,
    PlaitError,
    StorageError,
    UnreachableError,
)
from plait.resources.violations import Violation
from plait.store.memory import MemoryStore
from tests.api.calling import Api
from tests.api.objects import service
from tests.api.serving import backend

SERVICES = "/api/v1/namespaces/default/services"


class _BrokenStore(MemoryStore):
    async def get(self, key: object) -> Any:
        raise RuntimeError("secret inner detail")


def _fails_with(error: Exception) -> Api:
    def status() -> Any:
        raise error

    return Api(create_app(backend(status=status)))


@pytest.mark.parametrize("path", ["/api", "/apis", SERVICES, "/openapi/v2", "/version", "/plait/v1/status", "/nowhere"])
def test_strangers_see_nothing(path: str) -> None:
    """Without the right token every path answers 401 with a hint, also those that do not exist."""
    for token in ("", "wrong"):
        answer = Api(create_app(backend()), token=token).get(path)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "plait token create" in answer.text


def test_only_health_and_joining_are_open() -> None:
    """A prober needs no token, a joining machine brings its own."""
    seen: list[tuple[Mapping[str, Any], str]] = []

    def join(body: Mapping[str, Any], address: str) -> Mapping[str, Any]:
        seen.append((body, address))
        return {"chain": "pem"}

    stranger = Api(create_app(backend(join=join)), token="")
    assert stranger.get("/healthz").text == "ok"
    assert stranger.post("/plait/v1/join", json={"token": "t"}).json() == {"chain": "pem"}
    assert seen == [({"token": "t"}, "127.0.0.1")]


def test_the_unix_socket_is_told_by_the_server_not_the_caller() -> None:
    """Only a server address without a port is a unix socket; headers cannot claim it."""
    assert is_unix({"server": ("/run/api.sock", None)})
    assert not is_unix({"server": ("127.0.0.1", 443)})
    assert not is_unix({"server": ("plait", None)})
    assert not is_unix({"server": None})
    assert bearer([(b"authorization", b"Basic dXNlcjpwYXNz")]) is None
    assert bearer([(b"host", b"x"), (b"authorization", b"bearer abc")]) == "abc"


def test_a_bug_leaves_no_trace_with_the_client(caplog: pytest.LogCaptureFixture) -> None:
    """The client gets a Status and a request id, the log has the trace under that id."""
    api = Api(create_app(backend(_BrokenStore())))

    with caplog.at_level(logging.ERROR):
        answer = api.get(f"{SERVICES}/reviews")

    status = answer.json()
    assert (answer.status_code, status["reason"]) == (500, "InternalError")
    request = answer.headers["x-request-id"]
    assert request in status["message"]
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    assert request in caplog.text
    assert "secret inner detail" in caplog.text


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (ForbiddenError("no", "ask"), 403, "Forbidden"),
        (ConflictError("taken"), 409, "Conflict"),
        (StorageError("full", "free some"), 507, "InsufficientStorage"),
        (UnreachableError("away"), 503, "ServiceUnavailable"),
        (DeadlineError("slow"), 504, "Timeout"),
        (PlaitError("odd"), 422, "Invalid"),
        (ZeroDivisionError("bug"), 500, "InternalError"),
    ],
)
def test_errors_are_problems_below_plait(error: Exception, status: int, reason: str) -> None:
    """Each exception has its status; the problem says what and how to mend it."""
    answer = _fails_with(error).get("/plait/v1/status")

    problem = answer.json()
    assert (answer.status_code, problem["status"], problem["reason"]) == (status, status, reason)
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["request"] == answer.headers["x-request-id"]
    if isinstance(error, PlaitError):
        assert (problem["detail"], problem["remedy"]) == (error.problem, error.remedy)


def test_violations_keep_file_and_line() -> None:
    """All mistakes arrive, each with its place."""
    place: dict[str, Any] = {"file": "shop.yaml", "line": 3, "resource": "Service a", "path": "spec"}
    violation = Violation(**place, problem="is wrong", remedy="mend")
    problem = _fails_with(InvalidInputError([violation, "plain"])).get("/plait/v1/status").json()

    first, second = problem["violations"]
    assert first == {**place, "problem": "is wrong", "remedy": "mend"}
    assert second["problem"] == "plain"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"nul",
        b'{"metadata": {"name": NaN}}',
        b'{"spec": 1e999}',
        b"\xff\xfe",
        b'{"metadata": [1]}',
        b'{"metadata": 5}',
    ],
)
def test_rubbish_is_a_bad_request(api: Api, body: bytes) -> None:
    """A body that is no object is refused, whatever it is."""
    mesh = api.request("POST", "/plait/v1/apply", content=body, headers={"content-type": "application/json"})
    assert mesh.status_code in (400, 422)
    assert mesh.json()["detail"]
    answer = api.request("POST", SERVICES, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["kind"] == "Status"


def test_bodies_have_limits(api: Api) -> None:
    """Neither depth nor size of a body can hurt the server."""
    deep = b'{"a":' * 20_000 + b"1" + b"}" * 20_000
    nested = json.dumps({**service(), "spec": _nested(400)}).encode()
    assert _post(api, SERVICES, nested) in (400, 422)
    for path in (SERVICES, "/plait/v1/apply"):
        assert _post(api, path, b" " * (17 << 20)) == 413
        assert _post(api, path, deep) == 400


def _post(api: Api, path: str, content: bytes) -> int:
    return api.request("POST", path, content=content, headers={"content-type": "application/json"}).status_code


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": value}
    return value


def test_what_does_not_exist_is_not_found(api: Api) -> None:
    """Unknown paths, kinds, versions and subresources are 404; wrong methods 405; always as JSON."""
    for path in ("/nowhere", "/api/v2", "/api/v1/things", "/apis/nope", "/apis/apps/v9/deployments"):
        answer = api.get(path)
        assert (answer.status_code, answer.json()["kind"]) == (404, "Status"), path
    assert api.get(f"{SERVICES}/a/scale").status_code == 404
    assert api.get("/plait/v1/nothing").json()["title"] == "Not Found"
    assert api.post(f"{SERVICES}/reviews", json={}).status_code == 405
    assert api.put(SERVICES, json={}).status_code == 405
    assert api.post("/version").status_code == 405
    assert api.post("/plait/v1/why", json={"url": 5}).json()["violations"][0]["path"] == "url"
