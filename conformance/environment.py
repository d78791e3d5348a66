"""The mesh that cases run in: echo workloads and Services as Gateway API's conformance suite has them, and callers."""

import json
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bench.credentials import Authority
from bench.mesh import PLAIT, REPOSITORY, Mesh
from bench.mesh import mesh as running_mesh
from conformance import echo
from conformance.case import Call
from conformance.credentials import authority_map, tls_secret
from plait.api.client import Client, object_path

MESH: Final = "gateway-conformance-mesh"
CONSUMER: Final = "gateway-conformance-mesh-consumer"
INFRA: Final = "gateway-conformance-infra"
WEB: Final = "gateway-conformance-web-backend"
BACKENDS: Final = {
    "echo-v1": MESH,
    "echo-v2": MESH,
    "infra-backend-v1": INFRA,
    "infra-backend-v2": INFRA,
    "infra-backend-v3": INFRA,
    "web-backend": WEB,
}
SOURCES: Final = {"client": MESH, "consumer": CONSUMER, "infra": INFRA}
NAMES: Final = (
    "example.org",
    "*.example.org",
    "example.com",
    "*.example.com",
    "abc.example.com",
    "backend.example.com",
)
APP: Final = {
    "http": echo.HTTP,
    "h2c": echo.H2C,
    "https": echo.HTTPS,
    "mutual": echo.MUTUAL,
    "tcp": echo.TCP,
    "grpc": echo.GRPC,
    "authorizer": echo.AUTHORIZER,
}
PORTS: Final = (
    {"name": "http", "port": 80, "targetPort": echo.HTTP},
    {"name": "http-alt", "port": 8080, "targetPort": echo.HTTP},
    {"name": "h2c", "port": 8081, "targetPort": echo.H2C, "appProtocol": "kubernetes.io/h2c"},
    {"name": "https", "port": 443, "targetPort": echo.HTTPS},
    {"name": "http-authorizer", "port": 8082, "targetPort": echo.AUTHORIZER},
    {"name": "tcp", "port": 9090, "targetPort": echo.TCP},
    {"name": "grpc", "port": 7070, "targetPort": echo.GRPC, "appProtocol": "kubernetes.io/h2c"},
)


@dataclass
class Environment:
    """A running mesh with everything that cases refer to."""

    mesh: Mesh
    client: Client
    authority: Authority
    stranger: Authority
    callers: dict[str, "subprocess.Popen[str]"] = field(default_factory=dict[str, Any])
    _addresses: dict[str, str] = field(default_factory=dict[str, str])

    def call(self, call: Call, times: int = 1) -> list[dict[str, Any]]:
        """Make a call so often from where it starts; the answers."""
        process = self.callers["" if call.gateway else call.source]
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps({"call": self._plan(call), "times": times}) + "\n")
        process.stdin.flush()
        answers: list[dict[str, Any]] = json.loads(process.stdout.readline() or "[]")
        if not answers:
            raise RuntimeError(f"the caller {call.source} ended")
        return answers

    def _plan(self, call: Call) -> Mapping[str, Any]:
        plan = call.model_dump(include={"protocol", "port", "sni", "method", "path", "headers", "body", "timeout"})
        plan["address"] = self._address(call)
        plan["host"] = call.host or ("" if call.gateway or ":" in call.to else call.to)
        plan["ca"] = self.authority.pem if call.trusts else ""
        signer = {"client": self.authority, "stranger": self.stranger}.get(call.certificate)
        plan["certificate"] = "".join(signer.leaf("client.example.com")) if signer else ""
        return plan

    def _address(self, call: Call) -> str:
        if call.gateway:
            return self.gateway_address(call.gateway)
        if call.to.startswith("pod:"):
            name = call.to.removeprefix("pod:")
            if name not in self._addresses:
                rows = json.loads(self.mesh.plait("get", "workloads", "-A", "-o", "json"))
                self._addresses.update({str(row["name"]): str(row["address"]) for row in rows})
            return self._addresses[name]
        return call.to

    def gateway_address(self, gateway: str) -> str:
        """The address in a Gateway's status; raises LookupError while it has none."""
        namespace, _, name = gateway.partition("/")
        path = object_path("gateway.networking.k8s.io", "v1", "gateways", namespace=namespace, name=name)
        addresses = self.client.get(path).get("status", {}).get("addresses") or ()
        if not addresses:
            raise LookupError(f"{gateway} has no address yet")
        return str(addresses[0]["value"])


@contextmanager
def environment(state: Path) -> Generator[Environment]:
    """Start the mesh, the apps and the callers; end all of them."""
    authority, stranger = Authority("conformance"), Authority("stranger")
    with running_mesh(state) as mesh:
        mesh.apply(list(_objects(authority)))
        mesh.plait("gateway", "same-namespace", "-n", INFRA, "--detach")
        folder = state / "echo"
        _credentials(folder, authority)
        workloads = state / "echo.yaml"
        workloads.write_text(json.dumps({"workloads": [_workload(name, folder) for name in BACKENDS]}))
        mesh.plait("start", "-f", str(workloads), "--detach", within=180)
        client = Client(f"unix://{mesh.state / 'run' / 'api.sock'}")
        found = Environment(mesh, client, authority, stranger)
        try:
            for name, namespace in SOURCES.items():
                found.callers[name] = _caller(mesh, name, namespace)
            found.callers[""] = _start(mesh, (sys.executable, str(REPOSITORY / "conformance" / "client.py")))
            yield found
        finally:
            for process in found.callers.values():
                if process.stdin:
                    process.stdin.close()
                process.wait(30)


def _caller(mesh: Mesh, name: str, namespace: str) -> "subprocess.Popen[str]":
    app = (sys.executable, str(REPOSITORY / "conformance" / "client.py"))
    return _start(mesh, (*PLAIT, "run", "--name", f"caller-{name}", "-n", namespace, "--", *app))


def _start(mesh: Mesh, command: Sequence[str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        command, env=mesh.environment, cwd=REPOSITORY, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def _credentials(folder: Path, authority: Authority) -> None:
    folder.mkdir(parents=True)
    certificate, key = authority.leaf(*NAMES, "spiffe://conformance/backend")
    (folder / "cert.pem").write_text(certificate)
    (folder / "key.pem").write_text(key)
    (folder / "ca.pem").write_text(authority.pem)
    for path in (folder, *folder.iterdir()):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _workload(name: str, folder: Path) -> Mapping[str, Any]:
    protocols = {
        "http": "http",
        "h2c": "http2",
        "https": "tls",
        "mutual": "tls",
        "tcp": "tcp",
        "grpc": "grpc",
        "authorizer": "http",
    }
    return {
        "name": name,
        "namespace": BACKENDS[name],
        "labels": {"app": name, "suite": "echo" if BACKENDS[name] == MESH else "other"},
        "ports": [f"{port}:{APP[port]}/{protocol}" for port, protocol in protocols.items()],
        "probe": "http:/",
        "workingDirectory": str(REPOSITORY),
        "command": [sys.executable, "-m", "conformance.echo", name, str(folder)],
    }


def _objects(authority: Authority) -> Generator[dict[str, Any]]:
    for namespace in dict.fromkeys((*BACKENDS.values(), *SOURCES.values())):
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": {"suite": namespace}}}
    for name, namespace in BACKENDS.items():
        yield _service(namespace, name, {"app": name})
    yield _service(MESH, "echo", {"suite": "echo"})
    yield dict(tls_secret(INFRA, "tls-validity-checks-certificate", authority.leaf(*NAMES)))
    yield dict(tls_secret(WEB, "certificate", authority.leaf(*NAMES)))
    yield dict(tls_secret(INFRA, "client-certificate", authority.leaf("gateway.example.com")))
    for namespace in (INFRA, MESH):
        yield dict(authority_map(namespace, "conformance-authority", [authority.pem]))
    yield dict(authority_map(INFRA, "other-authority", [Authority("other").pem]))
    yield {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"namespace": INFRA, "name": "same-namespace"},
        "spec": {
            "gatewayClassName": "plait",
            "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}],
        },
    }


def _service(namespace: str, name: str, selector: Mapping[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"selector": dict(selector), "ports": [dict(port) for port in PORTS]},
    }
