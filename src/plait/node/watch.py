"""What the agent asks of a running app, for as long as it runs: does it answer, and what does it speak."""

import asyncio
import logging
from typing import Final

from plait.errors import PlaitError
from plait.model.services import Capture
from plait.node import app, learning, probes
from plait.node.dial import dial_in
from plait.node.nft import INBOUND_PORT, OUTBOUND_PORT
from plait.node.registration import Phase
from plait.node.workload import Workload

log = logging.getLogger(__name__)

_LOOK_FIRST: Final = 0.05
_LOOK_LATER: Final = 2.0
_LOOK_OFTEN_FOR: Final = 10.0
_GATEWAY_EVERY: Final = 0.5
_LIVES_FOR: Final = 0.3
"""Seconds after which an app that cannot be asked counts as ready: one that fails at its start has failed by then."""


async def readiness(workload: Workload) -> None:
    """Publish the endpoint while the app answers its probe."""
    if workload.spec.gateway:
        await _gateway_readiness(workload)
        return
    ports = workload.spec.ports
    probe = probes.parse(workload.spec.probe, has_port=bool(ports))
    port = ports[0].number if ports else 0
    dial = dial_in(workload.settled().netns)
    known = probes.Readiness(ready=workload.life.answering)
    if probe.kind == "none":
        await asyncio.sleep(_LIVES_FOR)
    while True:
        if workload.life.phase is Phase.RUNNING:
            result = await probes.check(probe, port, dial=dial, execute=lambda command: _execute(workload, command))
            known = known.after(result)
            workload.probe_result = known.reason
            ready = known.ready
            await workload.live(lambda life, ready=ready: life.probed(answering=ready))
        if probe.kind == "none":
            return
        await asyncio.sleep(known.pause)


async def _gateway_readiness(workload: Workload) -> None:
    while True:
        live = workload.sidecar is not None and await workload.sidecar.live()
        await workload.live(lambda life, live=live: life.probed(answering=live))
        await asyncio.sleep(_GATEWAY_EVERY)


async def _execute(workload: Workload, command: str) -> int:
    folder = workload.spec.working_directory
    return await app.execute_probe(workload.place, command, workload.environment, folder)


async def protocols(workload: Workload) -> None:
    """Learn what the app speaks on ports whose protocol nobody declared, and find ports that nobody declared."""
    habitat = workload.settled()
    dial = dial_in(habitat.netns)
    own = {OUTBOUND_PORT, INBOUND_PORT, *habitat.publish}
    started = asyncio.get_running_loop().time()
    while True:
        if habitat.capture is Capture.TRANSPARENT and not workload.spec.gateway:
            known = {*own, *workload.ports, *(port.number for port in workload.spec.ports)}
            workload.ports += await learning.open_ports(habitat.netns, without=known)
        changed = False
        for port in _undeclared(workload):
            learnt = await learning.learn(port, dial)
            if learnt is not None:
                workload.protocols[port] = learnt
                changed = True
        if changed:
            await _publish(workload)
        young = asyncio.get_running_loop().time() - started < _LOOK_OFTEN_FOR
        if habitat.capture is Capture.EXPLICIT and not _undeclared(workload):
            return
        await asyncio.sleep(_LOOK_FIRST if young and _undeclared(workload) else _LOOK_LATER)


def _undeclared(workload: Workload) -> list[int]:
    declared = {port.number for port in workload.spec.ports if port.protocol is not None}
    wanted = [port.number for port in workload.spec.ports] + list(workload.ports)
    return [port for port in wanted if port not in declared and port not in workload.protocols]


async def _publish(workload: Workload) -> None:
    try:
        await workload.publish()
    except PlaitError as error:
        log.warning("what %s speaks is not registered: %s", workload.name, error)
