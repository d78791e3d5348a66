"""The three ways from a client to nginx that are compared: direct, an Istio-like pair of Envoys, Plait.

Each has a client's and a server's network namespace, and nginx of its own. Envoys are kept on the machine's second
core, load and nginx on its first, so that on two cores nothing of ours competes with the Envoys.
"""

import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from string import Template
from subprocess import Popen
from typing import Any

from bench import load, processes, upstream
from bench.mesh import Mesh
from bench.places import COLLECTOR_PORT, ENVOY_UID, Places
from plait.envoy import bootstrap
from plait.identity import spiffe
from plait.identity.authority import CertificateAuthority, open_authority
from plait.identity.svid import new_key, signing_request
from plait.node import netns
from plait.node.place import Place
from plait.node.settings import find_envoy
from plait.node.settings import load as node_settings

DOMAIN = "cluster.local"
ENVOY_CORE = 1
SERVICE = "240.240.0.10"
CONFIGURATIONS = Path(__file__).parent / "istio"


@dataclass(frozen=True, slots=True, kw_only=True)
class PathUnderTest:
    """One way to nginx: where load goes, the namespaces of both ends, and how Envoys there are made anew."""

    name: str
    target: load.Target
    places: tuple[str, str]
    restart: Callable[[], None]

    def envoys(self) -> tuple[int, ...]:
        """The Envoys on the way; direct: none."""
        return tuple(pid for place in self.places for pid in processes.inside(place, "envoy"))

    def favour(self, niceness: int) -> None:
        """Set the priority of everything on the way."""
        processes.favour((pid for place in self.places for pid in netns.processes(place)), niceness)

    def prepare(self, within: float = 15) -> None:
        """Wait until it answers, then keep its Envoys on their core and warm them."""
        until = time.monotonic() + within
        while not self._answers():
            if time.monotonic() > until:
                raise RuntimeError(f"{self.name}: no answer within {within:.0f} s")
            time.sleep(0.1)
        processes.pin(self.envoys(), ENVOY_CORE)
        load.saturate(self.target, 1)

    def _answers(self) -> bool:
        try:
            return load.pace(self.target, 0.05, rate=200).failed == 0
        except RuntimeError:
            return False


def direct(places: Places, folder: Path) -> PathUnderTest:
    """Client and nginx without any proxy between them."""
    client, server = places.make("direct/client", capture=False), places.make("direct/web", capture=False)
    _nginx(places, server, folder / "direct")
    target = load.Target(netns=client.netns, address=server.address, port=upstream.PORT, host="web")
    return PathUnderTest(name="direct", target=target, places=(client.netns, server.netns), restart=lambda: None)


class IstioLike:
    """A pair of Envoys with static configuration, certificates of their own authority, and a sink for their traces."""

    def __init__(self, places: Places, folder: Path) -> None:
        self._places, self._folder = places, folder / "istio"
        self._authority = open_authority(folder / "istio-ca", DOMAIN)
        self._client = places.make("istio/client", capture=True)
        self._server = places.make("istio/web", capture=True)
        self._running: list[Popen[bytes]] = []
        _nginx(places, self._server, folder / "istio-web")
        sink = folder / "collector"
        gateway = self._client.gateway
        places.start(None, upstream.command(sink, f"{gateway}:{COLLECTOR_PORT}"), folder=sink)
        self._configure(self._client, "client")
        self._configure(self._server, "server")
        self.restart()

    def path(self) -> PathUnderTest:
        """The path through both."""
        target = load.Target(netns=self._client.netns, address=SERVICE, port=80, host="web")
        return PathUnderTest(
            name="Istio-like", target=target, places=(self._client.netns, self._server.netns), restart=self.restart
        )

    def restart(self) -> None:
        """Start both Envoys anew."""
        for process in self._running:
            self._places.stop(process)
        self._running = [self._start(self._server, "server"), self._start(self._client, "client")]

    def _start(self, place: Place, side: str) -> Popen[bytes]:
        folder = self._folder / side
        envoy = str(find_envoy(node_settings(os.environ)))
        command = [envoy, *bootstrap.arguments("envoy.yaml", log_level="error")]
        return self._places.start(place, command, folder=folder, user=ENVOY_UID)

    def _configure(self, place: Place, side: str) -> None:
        folder = self._folder / side
        folder.mkdir(parents=True)
        for above in (folder, folder.parent, folder.parent.parent):
            above.chmod(0o755)
        values = {
            "ADDRESS": place.address,
            "SERVER": self._server.address,
            "GATEWAY": place.gateway,
            "COLLECTOR": str(COLLECTOR_PORT),
        }
        text = Template((CONFIGURATIONS / f"{side}.yaml").read_text()).safe_substitute(values)
        account = "client" if side == "client" else "web"
        for name, content in {"envoy.yaml": text.encode(), **_credentials(self._authority, account)}.items():
            (folder / name).write_bytes(content)
            os.chown(folder / name, ENVOY_UID, ENVOY_UID)
            (folder / name).chmod(0o400)


def plait(mesh: Mesh, folder: Path) -> PathUnderTest:
    """Two workloads of a mesh; the server authorizes its caller by identity."""
    mesh.apply(_documents())
    nginx = upstream.command(folder / "plait-web")
    mesh.plait("run", "--detach", "--name", "web", "--service-account", "web", "--labels", "app=web",
               "--port", str(upstream.PORT), "--probe", "tcp", "--", *nginx)  # fmt: skip
    mesh.plait("run", "--detach", "--name", "client", "--service-account", "client", "--", "sleep", "100000")
    mesh.plait("exec", "client", "--", "getent", "hosts", "web")
    service = json.loads(mesh.plait("get", "service", "web", "-o", "json"))
    client, server = (Path(mesh.workload(name)["netns"]).name for name in ("client", "web"))
    target = load.Target(netns=client, address=service["spec"]["clusterIP"], port=80, host="web")

    def restart() -> None:
        for pid in made.envoys():
            os.kill(pid, signal.SIGKILL)

    made = PathUnderTest(name="Plait", target=target, places=(client, server), restart=restart)
    return made


def _documents() -> list[dict[str, Any]]:
    service: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": upstream.PORT}]},
    }
    caller = f"{DOMAIN}/ns/default/sa/client"
    policy: dict[str, Any] = {
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "action": "ALLOW",
            "rules": [{"from": [{"source": {"principals": [caller]}}]}],
        },
    }
    return [service, policy]


def _nginx(places: Places, place: Place, folder: Path) -> None:
    places.start(place, upstream.command(folder), folder=folder)


def _credentials(authority: CertificateAuthority, account: str) -> dict[str, bytes]:
    key = new_key()
    chain = authority.sign(signing_request(key), spiffe.workload_id(DOMAIN, "default", account))
    return {"chain.pem": chain, "key.pem": key, "roots.pem": authority.bundle}
