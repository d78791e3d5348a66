"""What a control process knows of the proxies that are connected to it, as the API serves it and others ask for it."""

from collections.abc import Mapping, Sequence
from typing import Any

from plait.ads.connections import Connections, ProxyState
from plait.ads.peer_service import Method
from plait.api import schemas
from plait.api.status_answers import ProxyCounts
from plait.controlplane.asking import Document
from plait.controlplane.inbound_views import inbound_view
from plait.controlplane.proxy_views import config_view, type_name
from plait.controlplane.publisher import Publisher, parse_proxy
from plait.controlplane.why_sources import Locate
from plait.errors import NotFoundError
from plait.model.services import WorkloadKind


class ConnectedProxies:
    """The proxies of this process."""

    def __init__(self, publisher: Publisher, connections: Connections, locate: Locate) -> None:
        self._publisher = publisher
        self._connections = connections
        self._locate = locate

    def proxies(self) -> Sequence[schemas.Proxy]:
        """All proxies of workloads that exist."""
        snapshot = self._publisher.snapshot
        return [
            self._proxy(state) for state in self._connections.states() if parse_proxy(state.proxy) in snapshot.workloads
        ]

    def _proxy(self, state: ProxyState) -> schemas.Proxy:
        name = parse_proxy(state.proxy)
        workload = self._publisher.snapshot.workloads[name]
        held = self._publisher.held_by(state.proxy)
        refused = tuple(
            schemas.RefusedResource(type=type_name(item.type_url), resource=item.name, message=item.message)
            for item in state.refused
        )
        return schemas.Proxy(
            name=name.name,
            namespace=name.namespace,
            node=state.node,
            kind="gateway" if workload.kind is WorkloadKind.GATEWAY else "sidecar",
            connected=state.connected,
            synced=state.synced,
            refused=refused,
            since=state.since,
            resources=sum(map(len, held.types.values())) if held else 0,
        )

    def proxy_config(self, namespace: str, name: str) -> Mapping[str, Any]:
        """What a connected proxy was sent."""
        held = self._publisher.held_by(f"{namespace}/{name}")
        if held is None:
            raise NotFoundError(f"no proxy {namespace}/{name} is connected", "see `plait proxy list`")
        view = self._publisher.view_held(f"{namespace}/{name}")
        inbound = inbound_view(view, self._locate) if view is not None else []
        return {"inbound": inbound, **config_view(held)}

    def gauges(self) -> Mapping[str, float]:
        """How many there are, for Prometheus."""
        snapshot = self._publisher.snapshot
        states = self._connections.states()
        found = counts([state for state in states if parse_proxy(state.proxy) in snapshot.workloads])
        return {
            "proxies_connected": found.ready,
            "proxies_synced": found.synced,
            "proxies_refusing": found.refused,
        }

    def methods(self) -> Mapping[str, Method]:
        """What other control processes may ask of this."""

        async def proxies(_body: Document) -> Document:
            return {"proxies": [proxy.model_dump() for proxy in self.proxies()]}

        async def config(body: Document) -> Document:
            try:
                return {"config": self.proxy_config(str(body["namespace"]), str(body["name"]))}
            except NotFoundError:
                return {"config": None}

        async def gauges(_body: Document) -> Document:
            return self.gauges()

        return {"Proxies": proxies, "Config": config, "Gauges": gauges}


def counts(proxies: Sequence[schemas.Proxy] | Sequence[ProxyState]) -> ProxyCounts:
    """How many of these proxies are connected, hold what they are to hold, and refuse something."""
    return ProxyCounts(
        ready=sum(proxy.connected for proxy in proxies),
        synced=sum(proxy.connected and proxy.synced for proxy in proxies),
        refused=sum(bool(proxy.refused) for proxy in proxies),
    )
