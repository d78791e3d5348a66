"""The read-only views of the running mesh, as the API serves them."""

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from plait import __version__
from plait.ads.connections import Connections
from plait.api import schemas
from plait.api.shapes import list_at, map_at
from plait.api.status_answers import (
    AdsStatus,
    ApiStatus,
    CaptureStatus,
    MetricsStatus,
    NodeStatus,
)
from plait.controlplane.connected import ConnectedProxies, counts
from plait.controlplane.machines import LOCAL, Machines
from plait.controlplane.objects import Objects
from plait.controlplane.publisher import Publisher
from plait.controlplane.state import Endpoints
from plait.controlplane.why_sources import Locate
from plait.controlplane.workload_views import workload_view
from plait.model.ids import ObjectName

HEARD_WITHIN: Final = 10.0
"""Seconds after which a machine that does not report counts as disconnected."""

EXPLICIT_LIMITS: Final = (
    "only calls through HTTP_PROXY are in the mesh; other connections of the app pass by its sidecar",
    "a process of this machine can reach an app past its sidecar: STRICT and policies do not bind local callers",
)


class Views:
    """Puts answers together from the parts that know."""

    def __init__(
        self,
        publisher: Publisher,
        connections: Connections,
        machines: Machines,
        objects: Objects,
        *,
        trust_domain: str,
        locate: Locate,
    ) -> None:
        self._publisher = publisher
        self._machines = machines
        self._objects = objects
        self._trust_domain = trust_domain
        self.connected = ConnectedProxies(publisher, connections, locate)
        self.endpoints: Endpoints | None = None

    async def workloads(self) -> Sequence[schemas.Workload]:
        """All workloads, by namespace and name."""
        listing = await self._objects.store.list(group="networking.istio.io", kind="WorkloadEntry")
        return [
            schemas.Workload.model_validate(workload_view(item, self._trust_domain, self._serving(item)))
            for item in listing.items
        ]

    def _serving(self, entry: Mapping[str, Any]) -> list[str]:
        """The services that a workload is an endpoint of, as NAMESPACE/NAME."""
        snapshot = self._publisher.snapshot
        metadata = entry["metadata"]
        hosts = snapshot.serving.get(ObjectName(namespace=metadata["namespace"], name=metadata["name"]), ())
        return [str(service.name) for host in hosts if (service := snapshot.services.get(host)) is not None]

    def edges(self) -> Sequence[schemas.Edge]:
        """Traffic between workloads over the last window."""
        return self._machines.edges.rates(self._caller)

    def _caller(self, principal: str) -> str:
        workloads = self._publisher.snapshot.workloads.values()
        found = [str(item.name) for item in workloads if str(item.identity) == principal]
        return found[0] if len(found) == 1 else ""

    def gauges(self) -> Mapping[str, float]:
        """Control's own figures, for Prometheus."""
        snapshot = self._publisher.snapshot
        return {
            **self.connected.gauges(),
            "services": len(snapshot.services),
            "workloads": len(snapshot.workloads),
        }

    async def status(self, proxies: Sequence[schemas.Proxy], heard: Mapping[str, float]) -> schemas.Status:
        """The state of the mesh with these proxies; `heard` is when other controls heard of machines."""
        listing = await self._objects.store.list(group="", kind="Node")
        nodes = tuple(self._node(item, heard) for item in listing.items)
        local = self._local(listing.items)
        here = next((node for node in nodes if node.name == local), None)
        endpoints = self.endpoints
        return schemas.Status(
            ready=endpoints is not None and here is not None and here.connected,
            version=__version__,
            trust_domain=self._trust_domain,
            revision=listing.revision,
            api=ApiStatus(
                url=endpoints.api_url,
                socket=endpoints.socket,
                token_file=endpoints.token_file,
                kubeconfig=endpoints.kubeconfig,
            )
            if endpoints
            else ApiStatus(),
            ads=AdsStatus(address=endpoints.ads_address) if endpoints else AdsStatus(),
            metrics=MetricsStatus(url=endpoints.metrics_url) if endpoints else MetricsStatus(),
            node=here,
            nodes=nodes,
            proxies=counts(proxies),
            capture=_capture(),
            problems=tuple(_problems(nodes, proxies)),
        )

    def _local(self, items: Sequence[Mapping[str, Any]]) -> str:
        marked = (item for item in items if item["metadata"].get("annotations", {}).get(LOCAL) == "true")
        return next((str(item["metadata"]["name"]) for item in marked), "")

    def _node(self, item: Mapping[str, Any], heard: Mapping[str, float]) -> NodeStatus:
        name = item["metadata"]["name"]
        last = max(self._machines.edges.heard(name), heard.get(name, 0.0))
        addresses = list_at(item, "status", "addresses")
        return NodeStatus(
            name=name,
            address=str(addresses[0].get("address", "")) if addresses else "",
            connected=time.time() - last < HEARD_WITHIN,
            cidr=str(map_at(item, "spec").get("podCIDR", "")),
        )


def _problems(nodes: Sequence[NodeStatus], proxies: Sequence[schemas.Proxy]) -> list[str]:
    silent = [
        f"machine {node.name} does not report; is its node agent running?" for node in nodes if not node.connected
    ]
    refusals = [
        f"proxy {proxy.namespace}/{proxy.name} refused {item.type} {item.resource}: {item.message}"
        for proxy in proxies
        for item in proxy.refused
    ]
    return silent + refusals


def _capture() -> CaptureStatus:
    if os.geteuid() == 0:
        return CaptureStatus(mode="transparent", reason="the node agent is root: each workload has a network namespace")
    reason = "without root there are no network namespaces: workloads call through HTTP_PROXY"
    return CaptureStatus(mode="explicit", reason=reason, limits=EXPLICIT_LIMITS)
