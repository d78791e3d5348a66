"""Plait's own paths: its default, HTTP in both sidecars, and bytes only, as users bring them about.

The server authorizes its caller by identity. A policy with a rule on methods needs HTTP at the server, so such a policy
makes the second path; a port declared TCP makes the third, on which the sidecars pass bytes. Each
has a client and a server of its own.
"""

import dataclasses
import json
import os
import signal
from pathlib import Path
from typing import Any, Final

from bench import calls, processes, upstream
from bench.mesh import Mesh
from bench.paths import PathUnderTest

PLAIT: Final = "Plait"
TWICE: Final = "Plait, HTTP twice"
LAYER_4: Final = "Plait, L4"
CALLER: Final = "cluster.local/ns/default/sa/client"


def paths(mesh: Mesh, folder: Path) -> list[PathUnderTest]:
    """All three, between workloads that now run."""
    methods = {"methods": ["GET", "POST"]}
    mesh.apply([*documents("web"), *documents("twice", operation=methods), *documents("bytes")])
    once = _pair(mesh, folder, server="web", client="client", name=PLAIT)
    twice = _pair(mesh, folder, server="twice", client="client-twice", name=TWICE)
    layer_4 = _pair(mesh, folder, server="bytes", client="client-bytes", name=LAYER_4)
    return [once, twice, dataclasses.replace(layer_4, only=calls.TCP)]


def documents(name: str, operation: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """A Service with a port for each protocol, and the policy that lets the client in."""
    ports = [
        {
            "name": f"port-{protocol.port}",
            "port": protocol.port,
            "targetPort": protocol.app_port,
            "appProtocol": protocol.known_as,
        }
        for protocol in calls.PROTOCOLS
    ]
    rule: dict[str, Any] = {"from": [{"source": {"principals": [CALLER]}}]}
    if operation is not None:
        rule["to"] = [{"operation": operation}]
    labels = {"app": name}
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"selector": labels, "ports": ports},
        },
        {
            "apiVersion": "security.istio.io/v1",
            "kind": "AuthorizationPolicy",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"selector": {"matchLabels": labels}, "action": "ALLOW", "rules": [rule]},
        },
    ]


def _pair(mesh: Mesh, folder: Path, *, server: str, client: str, name: str) -> PathUnderTest:
    app = upstream.command(folder / f"plait-{server}")
    numbers = [word for protocol in calls.PROTOCOLS for word in ("--port", str(protocol.app_port))]
    mesh.plait("run", "--detach", "--name", server, "--service-account", server, "--labels", f"app={server}",
               *numbers, "--probe", "tcp", "--", *app)  # fmt: skip
    mesh.plait("run", "--detach", "--name", client, "--service-account", "client", "--", "sleep", "100000")
    found = between(mesh, client=client, server=server, service=server)
    return dataclasses.replace(found, name=name, beside=(mesh.pid("node"),))


def between(mesh: Mesh, *, client: str, server: str, service: str) -> PathUnderTest:
    """The path from one running workload to another by the name of a service, which is the path's name too."""
    mesh.plait("exec", client, "--", "getent", "hosts", service)
    known = json.loads(mesh.plait("get", "service", service, "-o", "json"))
    places = [Path(mesh.workload(each)["netns"]).name for each in (client, server)]

    def sidecars() -> tuple[int, ...]:
        return tuple(pid for place in places for pid in processes.inside(place, "envoy"))

    def restart(_protocol: calls.Protocol) -> None:
        for pid in sidecars():
            os.kill(pid, signal.SIGKILL)

    return PathUnderTest(
        name=service,
        address=known["spec"]["clusterIP"],
        places=(places[0], places[1]),
        host=service,
        sidecars=sidecars,
        restart=restart,
    )
