"""What the agent looks after beside single workloads: logs that grow, roots and gateways that change."""

import asyncio
import dataclasses
from typing import Final

from plait.model.services import Capture
from plait.node.membership import MachineIdentity
from plait.node.registry import Registry
from plait.node.sidecar import trim
from plait.node.workload import Workload

EVERY: Final = 60.0


async def keep(registry: Registry) -> None:
    """Keep logs small, for ever."""
    while True:
        await asyncio.sleep(EVERY)
        for workload in registry:
            await asyncio.to_thread(trim, workload.directory.log)
            await asyncio.to_thread(trim, workload.directory.envoy_log)


def mesh_changed(registry: Registry, identity: MachineIdentity) -> None:
    """Bring workloads to the mesh's new settings: trust new roots, map new ports of gateways."""
    settings = registry.context.mesh.current
    trusted = identity.trust(settings.bundle)
    identity.hear_of(settings.controls)
    tell_who_signs(registry, identity)
    for workload in registry:
        if trusted and workload.identity is not None:
            workload.use(workload.identity)
        _map_gateway(workload)


def tell_who_signs(registry: Registry, identity: MachineIdentity) -> None:
    """Let renewals follow what control said last of who signs, and the roots."""
    for times in (identity.times, registry.context.certificates.times):
        times.told(registry.context.mesh.current.signing)


def _map_gateway(workload: Workload) -> None:
    habitat, context = workload.habitat, workload.context
    if not workload.gateway or habitat is None or habitat.capture is not Capture.EXPLICIT:
        return
    listeners = context.mesh.current.gateways.get(workload.gateway, ())
    mapped = context.ports.map_listeners(listeners, habitat.gateway_ports)
    if mapped != dict(habitat.gateway_ports):
        workload.habitat = dataclasses.replace(habitat, gateway_ports=mapped)
        context.ports.keep(workload.proxy, workload.habitat.own_ports())
        workload.do(workload.publish())
