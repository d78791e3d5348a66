"""Istio's networking kinds on one machine, where simulation does not reach: names, processes and registration."""

import json
from collections.abc import Generator
from typing import Any

import pytest

from tests.integration.counted_load import apply, serve
from tests.integration.machines import Machine, mesh, needs_root, until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(150), needs_root]


def istio(kind: str, name: str, **spec: Any) -> str:
    """An object of Istio's networking API in namespace default."""
    metadata = {"name": name, "namespace": "default"}
    return json.dumps({"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": metadata, "spec": spec})


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Generator[Machine]:
    """A client, and a server of the service inside."""
    with mesh(tmp_path_factory.mktemp("m")) as started:
        started.plait("run", "--name", "client", "--detach", "--", "sleep", "600")
        serve(started, "inside-1", "inside")
        yield started


def code(machine: Machine, url: str, *flags: str) -> str:
    """The HTTP status of the client's call, 000 for none, within 3 s."""
    words = ("curl", "-s", "-o", "/dev/null", "-m", "3", "-w", "%{http_code}", *flags, url)
    return machine.plait("exec", "client", "--", *words, code=None)[:3]


def test_a_host_that_only_a_virtual_service_has(machine: Machine) -> None:
    """DNS knows it as soon as it is applied, and its rules lead to services with other names."""
    route = [{"destination": {"host": "inside"}}]
    http = [{"match": [{"uri": {"prefix": "/api/"}}], "rewrite": {"uri": "/"}, "route": route}]
    assert code(machine, "http://api.shop/api/x") == "000"

    apply(machine, istio("VirtualService", "api", hosts=["api.shop"], http=http))

    until(lambda: code(machine, "http://api.shop/api/x") == "200", what="api.shop leads nowhere")
    assert code(machine, "http://api.shop/elsewhere") == "404"
    told = json.loads(machine.plait("why", "--from", "client", "http://api.shop/api/x", "-o", "json"))
    assert "VirtualService" in json.dumps(told)
