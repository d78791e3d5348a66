"""A mesh that answers: the real API over a store in memory, with canned views of workloads, proxies and calls."""

import asyncio
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn

from plait.api import schemas
from plait.api.app import create_app
from plait.api.backend import Backend
from plait.errors import DeadlineError, NotFoundError
from plait.store.memory import MemoryStore
from plait.store.store import ObjectKey, Write

WEB = schemas.Workload(
    name="web", namespace="default", service_account="web", address="10.7.1.2", netns="/run/netns/plait-a-web",
    ports=(schemas.WorkloadPort(number=8080, name="main", protocol="http"), schemas.WorkloadPort(number=9090)),
    endpoint="127.0.0.1:8080", pids=(41, 42), identity="spiffe://cluster.local/ns/default/sa/web", phase="Running",
    ready=True, capture="transparent", node="here", services=("default/web",), labels={"app": "web"},
)  # fmt: skip
DATABASE = schemas.Workload(
    name="db", namespace="data", service_account="default", address="10.7.1.3", phase="Warming", ready=False,
    identity="spiffe://cluster.local/ns/data/sa/default", capture="transparent", node="here",
)  # fmt: skip
RULE = schemas.Source(
    kind="HTTPRoute", namespace="default", name="web", path="spec.rules[0]", file="shop.yaml", line=12
)
PROXIES = (
    schemas.Proxy(name="web", namespace="default", node="here", connected=True, synced=True, resources=14),
    schemas.Proxy(
        name="db", namespace="data", node="here", connected=True, synced=False, resources=9,
        refused=(schemas.RefusedResource(type="LISTENER", resource="inbound", message="no such filter", source=RULE),),
    ),
)  # fmt: skip
EDGES = (
    schemas.Edge(source="web", source_namespace="default", destination="db", destination_namespace="data", rate=0.5,
                 destination_service="db.data.svc.cluster.local", protocol="tcp", reporter="source"),
    schemas.Edge(source="load", destination="web", destination_namespace="default", rate=12.25, errors=0.004,
                 p50=1.25, p90=4, p99=20.04, protocol="http", codes={"200": 99, "503": 1}, reporter="destination"),
)  # fmt: skip


@dataclass
class FakeMesh:
    """What the fake says, and what it was asked."""

    socket: Path
    ready: bool = True
    waited: schemas.WaitAnswer = field(default_factory=schemas.WaitAnswer)
    rehearsal: schemas.Rehearsal | None = None
    """What a dry run is told."""
    asked: list[Any] = field(default_factory=list[Any])
    authorities: list[schemas.CaStatus] = field(default_factory=list[schemas.CaStatus])
    """What is said of the authority, one after the other; the last one again and again."""

    async def store(self) -> MemoryStore:
        """A store with the namespaces that every mesh has."""
        store = MemoryStore()
        for name in ("default", "istio-system"):
            key = ObjectKey(group="", kind="Namespace", namespace="", name=name)
            value = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            await store.commit([Write(key=key, document=value)])
        return store

    def backend(self, store: MemoryStore) -> Backend:
        """The fake as the API sees it."""
        return Backend(
            store=store,
            workloads=lambda: (WEB, DATABASE),
            proxies=lambda: PROXIES,
            proxy_config=self._config,
            edges=lambda: EDGES,
            status=self._status,
            why=self._why,
            create_token=self._token,
            rehearse=lambda _writes: self.rehearsal,
        )

    def _config(self, namespace: str, name: str) -> Mapping[str, Any]:
        if (namespace, name) != ("default", "web"):
            raise NotFoundError(f"no proxy {namespace}/{name}", "see `plait proxy list`")
        return {"listeners": [{"name": "outbound"}]}

    def _status(self) -> schemas.Status:
        here = schemas.NodeStatus(name="here", address="192.0.2.1", connected=True, cidr="10.7.1.0/24")
        there = schemas.NodeStatus(name="there", address="192.0.2.2", connected=False, cidr="10.7.2.0/24")
        return schemas.Status(
            ready=self.ready,
            trust_domain="cluster.local",
            api=schemas.ApiStatus(
                socket=str(self.socket), url="https://127.0.0.1:15010", kubeconfig="/s/run/kubeconfig"
            ),
            ads=schemas.AdsStatus(address="127.0.0.1:15011"),
            metrics=schemas.MetricsStatus(url="http://127.0.0.1:15014/metrics"),
            node=here,
            nodes=(here, there),
            proxies=schemas.ProxyCounts(ready=2, synced=1, refused=1),
            capture=schemas.CaptureStatus(
                mode="explicit", reason="you are not root", limits=("plaintext is not refused",)
            ),
            problems=("data/db holds an old configuration",),
        )

    def _why(self, question: schemas.WhyQuestion) -> schemas.WhyAnswer:
        self.asked.append(question)
        if "absent" in question.url:
            raise NotFoundError("no name absent in the mesh", "see `plait get services`")
        return schemas.WhyAnswer(
            verdict="allowed",
            sentence=f"{question.method or 'A connection to'} {question.url} is allowed.",
            rule=RULE,
            endpoints=("10.7.1.2:8080",),
            steps=(
                schemas.WhyStep(stage="caller", outcome=question.from_workload or question.principal),
                schemas.WhyStep(stage="rule", outcome="path prefix / matches", resource="web", source=RULE),
            ),
            timeout=15,
        )

    async def wait(self, request: schemas.WaitRequest) -> schemas.WaitAnswer:
        """Answer as control does once it has waited."""
        self.asked.append(request)
        return self.waited

    async def authority(self) -> schemas.CaStatus:
        """How the authority stands now."""
        return self.authorities.pop(0) if len(self.authorities) > 1 else self.authorities[0]

    async def rotate(self, wanted: schemas.CaRotation) -> schemas.CaStatus:
        """Take what is wanted."""
        self.asked.append(wanted)
        return await self.authority()

    def _token(self, body: Mapping[str, Any], user: str) -> Mapping[str, Any]:
        self.asked.append((dict(body), user))
        if body.get("node") == "slow":
            raise DeadlineError("the authority did not answer", "try again")
        return {"token": "plait-token-1", **body}


class RunningMesh:
    """A fake mesh behind a unix socket, served by a thread."""

    def __init__(self, state_dir: Path) -> None:
        run = state_dir / "run"
        run.mkdir(parents=True)
        self.mesh = FakeMesh(run / "api.sock")
        endpoints = {
            "api_url": "",
            "socket": str(self.mesh.socket),
            "token_file": "",
            "kubeconfig": "",
            "ads_address": "",
        }
        (run / "endpoints.json").write_text(json.dumps(endpoints))
        self.app = create_app(self.mesh.backend(asyncio.run(self.mesh.store())))
        self.app.post("/plait/v1/wait")(self.mesh.wait)
        self.app.get("/plait/v1/ca")(self.mesh.authority)
        self.app.post("/plait/v1/ca/rotate")(self.mesh.rotate)
        config = uvicorn.Config(self.app, uds=str(self.mesh.socket), log_level="error", lifespan="off")
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=lambda: asyncio.run(self.server.serve()), daemon=True)

    def start(self) -> FakeMesh:
        """Serve; returns once it answers."""
        self.thread.start()
        while not self.server.started:
            assert self.thread.is_alive()
            threading.Event().wait(0.005)
        return self.mesh

    def stop(self) -> None:
        """End the server."""
        self.server.should_exit = True
        self.thread.join(10)
