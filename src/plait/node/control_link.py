"""Control as this machine's workloads call it: soon told when it cannot be reached, patient while it answers.

A call waits until the channel is connected. For the starts of workloads that wait must be short, since they can do
without control; once connected, control may take its time. So the two are bounded apart.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from plait.ads.node_service import NodeClient
from plait.ads.transport import Channels
from plait.errors import UnreachableError

REACHED_WITHIN: Final = 1.0
ANSWERED_WITHIN: Final = 10.0


class ControlLink:
    """The methods of control, over the machine's channel."""

    def __init__(self, channels: Channels, *, reached_within: float = REACHED_WITHIN) -> None:
        self._channels = channels
        self._client = NodeClient(channels, limit=ANSWERED_WITHIN)
        self._reached_within = reached_within

    async def sign(self, request: bytes, namespace: str, service_account: str) -> bytes:
        """A certificate chain for a workload of this machine."""
        await self._reach()
        return await self._client.sign(request, namespace, service_account)

    async def renew(self, request: bytes) -> bytes:
        """A certificate chain for this machine itself."""
        await self._reach()
        return await self._client.renew(request)

    async def register(self, document: Mapping[str, Any]) -> Mapping[str, Any]:
        """Write a workload's entry; returns it as stored."""
        await self._reach()
        return await self._client.register(document)

    async def deregister(self, namespace: str, name: str) -> None:
        """Remove a workload's entry."""
        await self._reach()
        await self._client.deregister(namespace, name)

    async def report(self, edges: Sequence[Mapping[str, Any]]) -> None:
        """Tell who called whom."""
        await self._reach()
        await self._client.report(edges)

    async def settings(self, holds: Mapping[str, Any]) -> Mapping[str, Any]:
        """What this machine must know of the mesh; `holds` tells which certificates and roots are in use here."""
        await self._reach()
        return await self._client.settings(holds)

    async def _reach(self) -> None:
        async with self._channels.lease() as channel:
            try:
                await asyncio.wait_for(channel.channel_ready(), self._reached_within)
            except TimeoutError:
                raise UnreachableError("control cannot be reached", "see whether it runs: `plait status`") from None
