"""The client of the command line, against a real server on both of its sockets."""

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from plait.api import schemas
from plait.api.client import Client, object_path
from plait.errors import (
    AlreadyExistsError,
    ConflictError,
    DeadlineError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    RefusedError,
    UnreachableError,
)
from plait.resources.violations import Violation
from tests.api.objects import http_route, service
from tests.api.serving import TOKEN, Serving, backend, serving

SERVICES = object_path("", "v1", "services", namespace="default")


def _slow() -> Any:
    time.sleep(1.5)
    return schemas.Status(ready=True)


@pytest.fixture(params=["unix", "tls"])
def client(request: pytest.FixtureRequest, server: Serving) -> Iterator[Client]:
    """A client on each socket."""
    unix = request.param == "unix"
    with Client(f"unix://{server.socket}") if unix else Client(server.url, TOKEN, ca=server.ca) as client:
        yield client


def test_objects(client: Client) -> None:
    """Create, get, patch, replace, list as a table, delete."""
    path = f"{SERVICES}/reviews"
    created = client.create(SERVICES, service())
    client.patch(path, {"metadata": {"labels": {"a": "b"}}})

    assert client.get(path)["metadata"]["labels"] == {"a": "b"}
    assert client.get(SERVICES, labelSelector="a=c")["items"] == []
    assert client.table(SERVICES)["rows"][0]["cells"][0] == "reviews"
    with pytest.raises(ConflictError, match="has been modified"):
        client.replace(path, created)
    with pytest.raises(AlreadyExistsError):
        client.create(SERVICES, service())
    client.delete(path)
    with pytest.raises(NotFoundError, match='services "reviews" not found'):
        client.get(path)


def test_mistakes_come_back_as_violations(client: Client) -> None:
    """An applied set that is wrong raises all violations, as the local checks would."""
    with pytest.raises(InvalidInputError) as refused:
        client.apply([http_route(rulez=[])])
    (violation,) = refused.value.violations
    assert isinstance(violation, Violation)
    assert violation.path == "spec.rulez"
    assert client.apply([service()], dryRun=True)["results"][0]["result"] == "created"


def test_kinds(client: Client) -> None:
    """Discovery as one list, each kind with group and version."""
    found = {(kind["group"], kind["version"], kind["name"]) for kind in client.kinds()}
    assert {("", "v1", "services"), ("gateway.networking.k8s.io", "v1", "httproutes")} <= found


def test_views(tmp_path: Path) -> None:
    """Each view of the mesh arrives in the names of its schema."""
    source = schemas.Source(kind="HTTPRoute", namespace="default", name="reviews", path="spec.rules[0]", line=3)

    def proxy_config(namespace: str, name: str) -> Mapping[str, Any]:
        return {"CLUSTER": [f"{namespace}/{name}"]}

    def why(question: schemas.WhyQuestion) -> schemas.WhyAnswer:
        return schemas.WhyAnswer(verdict="allowed", sentence=question.from_workload, rule=source)

    def create_token(body: Mapping[str, Any], user: str) -> Mapping[str, Any]:
        return {"token": f"for {body['user']} by {user}"}

    async def workloads() -> Sequence[schemas.Workload]:
        return [schemas.Workload(name="a", namespace="default", service_account="default", address="10.1.0.2")]

    functions: dict[str, Any] = {
        "workloads": workloads,
        "proxies": lambda: [schemas.Proxy(name="a", namespace="default", connected=True, synced=False)],
        "proxy_config": proxy_config,
        "edges": lambda: [schemas.Edge(source="a", destination="b", rate=2.5)],
        "why": why,
        "create_token": create_token,
        "status": lambda: schemas.Status(ready=True, api=schemas.ApiStatus(token_file="/t")),
    }
    with serving(tmp_path, backend(**functions)) as server, Client(f"unix://{server.socket}") as client:
        assert client.status()["api"]["token_file"] == "/t"
        assert client.workloads()[0]["serviceAccount"] == "default"
        assert client.proxies()[0]["synced"] is False
        assert client.proxy_config("default", "a") == {"CLUSTER": ["default/a"]}
        assert client.edges()[0]["rate"] == 2.5
        answer = client.why({"fromWorkload": "default/a", "url": "http://reviews/"})
        assert (answer["sentence"], answer["rule"]["line"]) == ("default/a", 3)
        assert client.create_token({"user": "eve"}) == {"token": "for eve by owner"}


def test_a_bare_api_says_what_it_lacks(client: Client) -> None:
    """Without a control process behind it, what needs one is refused with a sentence."""
    with pytest.raises(UnreachableError, match="serves objects only"):
        client.why({"url": "http://reviews/"})
    with pytest.raises(NotFoundError, match="no proxy default/x"):
        client.proxy_config("default", "x")
    with pytest.raises(RefusedError):
        client.request("GET", "/plait/v1/nothing")


def test_who_may_not_call_is_told_so(server: Serving) -> None:
    """A wrong token is refused with what to set."""
    with Client(server.url, "wrong", ca=server.ca) as client, pytest.raises(ForbiddenError, match="does not know you"):
        client.status()
    with Client(server.url, TOKEN) as client, pytest.raises(UnreachableError, match="CERTIFICATE_VERIFY_FAILED"):
        client.status()


def test_a_mesh_that_is_away(tmp_path: Path) -> None:
    """No socket, or no answer in time, are told apart."""
    with Client(f"unix://{tmp_path}/none.sock") as client, pytest.raises(UnreachableError, match="no mesh answers at"):
        client.status()
    with (
        serving(tmp_path, backend(status=_slow)) as server,
        Client(f"unix://{server.socket}", timeout=0.3) as client,
        pytest.raises(DeadlineError, match="did not answer in time"),
    ):
        client.status()
