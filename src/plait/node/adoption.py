"""What an earlier agent left running, taken up again at the start; what it left dead, cleaned up."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Sequence
from typing import Any, Final

from plait.errors import PlaitError, RefusedError
from plait.model.services import Capture
from plait.node import leftovers, netns
from plait.node.callers import Caller, User
from plait.node.context import NodeContext
from plait.node.processes import ProcessId, identify
from plait.node.registry import Registry
from plait.node.state import read_json
from plait.node.workload import Workload
from plait.node.workload_spec import parse

log = logging.getLogger(__name__)

_KNOWN_WITHIN: Final = 3.0


async def adopt(registry: Registry) -> None:
    """Take up every workload that has a record, and remove places that have none.

    Returns when each is known: who it is by its address, and what its names are.
    """
    context = registry.context
    places: set[str] = set()
    taken_up: list[Workload] = []
    if context.network is not None:
        places = {place.name for place in await asyncio.to_thread(context.network.adopt)}
    for name in context.directory.running():
        directory = context.directory.workload(name)
        record = read_json(directory.record)
        try:
            workload = _restored(context, record)
        except (PlaitError, KeyError, TypeError, ValueError) as error:
            log.warning("the record of %s cannot be read (%s); what runs of it is ended", name, error)
            await asyncio.to_thread(directory.forget_run)
            continue
        places.discard(str(name))
        registry.adopt(workload, record)
        taken_up.append(workload)
    for name in places:
        await _remove_place(context, name)
    context.directory.sweep()
    await _until_known(taken_up)


async def _until_known(workloads: Sequence[Workload]) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_KNOWN_WITHIN):
            for workload in workloads:
                await workload.known.wait()


def _restored(context: NodeContext, record: dict[str, Any]) -> Workload:
    spec = parse(record["spec"])
    user = (
        User(uid=record["user"][0], gid=record["user"][1], groups=tuple(record["user"][2])) if record["user"] else None
    )
    owner = Caller(pid=0, uid=int(record["owner"]), gid=0)
    if Capture(record["capture"]) is Capture.TRANSPARENT and context.network is None:
        raise RefusedError("it has a place of its own, which this agent cannot make", context.why_explicit)
    return Workload(context, spec, owner=owner, user=user, capture=Capture(record["capture"]))


async def _remove_place(context: NodeContext, name: str) -> None:
    """End what runs in a place that belongs to no workload, and remove the place."""
    network = context.network
    if network is None:
        return
    log.warning("removing the place of %s, which an earlier agent left", name)
    await end_processes(netns.processes(network.netns_name(name)))
    await asyncio.to_thread(network.remove, name)


async def end_processes(pids: tuple[int, ...]) -> None:
    """Kill processes that nobody answers for."""
    known: list[ProcessId] = [found for found in map(identify, pids) if found is not None]
    for process in known:
        process.send(signal.SIGKILL)
    for process in known:
        await asyncio.wait_for(process.ended(), 5.0)


async def clean(context: NodeContext) -> None:
    """Remove namespaces of this mesh that no workload lives in."""
    network = context.network
    if network is None:
        return
    known = [place.netns for place in network.places()]
    found = await asyncio.to_thread(leftovers.leftovers, network.mesh_id, known=known, running=True)
    for leftover in found:
        await end_processes(leftover.processes)
    await asyncio.to_thread(leftovers.clean, found)
