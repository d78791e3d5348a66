"""Load from inside a workload that counts every lost call (bench/caller.py), and the servers it calls."""

import contextlib
import time
from collections.abc import Generator, Mapping
from typing import Any

import yaml

from bench import counting
from plait.api.client import Client
from plait.node import client
from tests.integration.machines import Machine

FRESH_AND_KEPT = {
    "fresh": {"url": "http://web/", "fresh": True, "pause": 0.02},
    "kept": {"url": "http://web/", "fresh": False, "pause": 0.02},
}
"""Calls to `web`: each on a connection of its own, and all on one."""
ROUTE_OF_WEB = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: web}}
spec:
  parentRefs: [{{group: "", kind: Service, name: web}}]
  rules: [{{backendRefs: [{{name: {backend}, port: 80}}]}}]
"""


def serve(machine: Machine, name: str, service: str) -> None:
    """Start a workload of a service, with the label `app: web`."""
    words = ("run", "--name", name, "--service", f"{service}:80", "--port", "8000/http", "--labels", "app=web")
    machine.plait(*words, "--detach", "--", *counting.server_command(8000, name))


def stop(machine: Machine, name: str) -> None:
    """Stop a workload as `plait stop` does."""
    assert client.stop(machine.state / "run" / "node.sock", names=[name]) == (name,)


@contextlib.contextmanager
def api(machine: Machine) -> Generator[Client]:
    """The mesh's API, for changes that follow each other faster than commands can be started."""
    with Client(f"unix://{machine.state / 'run' / 'api.sock'}", timeout=30) as opened:
        yield opened


def apply(machine: Machine, text: str) -> None:
    """Apply one document, as `plait apply` does."""
    with api(machine) as opened:
        opened.apply([yaml.safe_load(text)], fieldManager="plait")


def delete(machine: Machine, group: str, kind: str, name: str) -> None:
    """Delete an object of namespace default."""
    with api(machine) as opened:
        opened.request("DELETE", f"/apis/{group}/v1/namespaces/default/{kind}/{name}")


class CountedLoad(counting.Counting):
    """Streams of calls that run from the beginning to the end of the block."""

    def __init__(self, machine: Machine, plan: Mapping[str, Mapping[str, Any]]) -> None:
        super().__init__(machine.program, machine.env, plan)

    def goes(self) -> None:
        """Wait until every stream has been answered a few times."""
        began = time.monotonic()
        found = self.report()
        while not all(stream["calls"] - stream["lost"] > 5 for stream in found.values()):
            assert time.monotonic() < began + 20, found
            time.sleep(0.1)
            found = self.report()

    @contextlib.contextmanager
    def loses_nothing(self, *, calls: int = 50, settle: float = 0.7) -> Generator[None]:
        """Fail if any stream loses one call during the block or shortly after, or together they make too few."""
        before = self.report()
        began = time.time()
        yield
        time.sleep(settle)
        after = self.report()
        lost = {name: after[name]["lost"] - before[name]["lost"] for name in after}
        made = {name: after[name]["calls"] - before[name]["calls"] for name in after}
        told = {
            name: [f"{moment - began:+.3f} s: {what}" for moment, what in after[name]["failures"] if moment >= began]
            for name in after
        }
        assert not any(lost.values()), f"lost {lost} of {made}: {told}"
        assert sum(made.values()) >= calls, made
