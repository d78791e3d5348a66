"""What the agent's workloads need from around them, as protocols: control, and the relay of configuration.

`ads.node_service.NodeClient` is a Control and `ads.client.Relay` a ConfigurationRelay; tests give their own.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from plait.envoy.resource_set import Entry
from plait.model.view import NameRecord


class Control(Protocol):
    """The methods of the control process that a machine may call."""

    async def sign(self, request: bytes, namespace: str, service_account: str) -> bytes:
        """A certificate chain for a workload of this machine."""
        ...

    async def register(self, document: Mapping[str, Any]) -> Mapping[str, Any]:
        """Write a workload's entry; returns it as stored."""
        ...

    async def deregister(self, namespace: str, name: str) -> None:
        """Remove a workload's entry."""
        ...

    async def report(self, edges: Sequence[Mapping[str, Any]]) -> None:
        """Tell who called whom."""
        ...


class ConfigurationRelay(Protocol):
    """What serves the Envoys of this machine."""

    def add(self, proxy: str, hosts: Iterable[str] = (), *, resume: bool = True, generation: int = 0) -> None:
        """Serve a proxy from now on; `hosts` are names it asked for before, `resume` starts from what it held last.

        `generation` is that of the Envoy that serves.
        """
        ...

    async def warm_beside(self, proxy: str, generation: int, limit: float) -> None:
        """Wait until an Envoy that is about to serve holds what the serving one holds; raises why it does not."""
        ...

    def promote(self, proxy: str, generation: int) -> None:
        """Another Envoy of that proxy serves from now on."""
        ...

    def remove(self, proxy: str, *, forget: bool = True) -> None:
        """Serve a proxy no longer; `forget` deletes what it held."""
        ...

    def detach(self, proxy: str) -> None:
        """The proxy's Envoy was seen to end; NotFoundError for a proxy that is not served."""
        ...

    def set_secrets(self, proxy: str, secrets: Mapping[str, Entry]) -> None:
        """Give a proxy its own certificate and the trust bundle, now and at every change."""
        ...

    def holds_secrets(self, proxy: str) -> bool:
        """Whether its Envoy has acknowledged the secrets that were given last."""
        ...

    async def warm(self, proxy: str, limit: float) -> None:
        """Wait until its Envoy has acknowledged everything once; DeadlineError when that takes longer."""
        ...

    async def demand(self, proxy: str, host: str, limit: float) -> NameRecord | None:
        """What a host is, once the proxy holds it; None if there is no such host."""
        ...

    def hosts(self, proxy: str) -> frozenset[str]:
        """The hosts that a proxy holds by demand."""
        ...
