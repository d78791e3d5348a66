"""A new Envoy takes over from the one that serves, under the running app, without losing a connection.

    1  new connections are led to the serving Envoy alone (see `doors`); the new one is started beside it, with an
       admin socket of its own, and is sent the same configuration
    2  it is warm, live and listens; until here every failure ends it, and nothing has changed
    3  it is written down as the one that serves; new connections are led to it alone
    4  the earlier one asks its clients to leave, closes its listeners, and is ended when its last connection is gone
       or the grace period over; it is sent every change of the configuration until then

The two need not be of the same version, and the second may be the same binary with another bootstrap.
"""

import asyncio
import contextlib
import logging
from dataclasses import replace
from typing import Final

from plait.errors import PlaitError, RefusedError
from plait.node import admin, doors, state
from plait.node.processes import ProcessId
from plait.node.registration import Phase
from plait.node.sidecar import Sidecar, SidecarPlan, launch
from plait.node.workload import Workload

log = logging.getLogger(__name__)

_STEADY: Final = 0.3
_LISTENS_WITHIN: Final = 5.0
_CLOSES_WITHIN: Final = 4.0
_LOOK_EVERY: Final = 0.05
_PATIENCE: Final = 1.0


async def hand_over(workload: Workload, wanted: SidecarPlan) -> None:
    """Replace the workload's Envoy by one that is started as wanted; raises why that is not possible."""
    sidecar = workload.sidecar
    before = sidecar.process if sidecar is not None else None
    if sidecar is None or before is None or not before.alive() or workload.life.phase is not Phase.RUNNING:
        raise RefusedError(f"the proxy of {workload.name} does not serve", "wait until it runs: `plait proxy list`")
    if sidecar.coming is not None:
        raise RefusedError(f"the proxy of {workload.name} is being upgraded already", "wait for that")
    generation = sidecar.plan.generation + 1
    logged = _size(workload)
    generation = sidecar.plan.generation + 1
    _turn(before, doors.EARLIER).close()
    try:
        process = await _begin(workload, sidecar, replace(wanted, generation=generation, admin=state.ADMIN_OF_NEXT))
        await _until_it_could_serve(workload, process, generation, doors.ports(before.pid))
    except BaseException as error:
        await _give_up(workload, sidecar)
        if not isinstance(error, PlaitError):
            raise
        said = admin.last_words(workload.directory.envoy_log, since=logged)
        raise RefusedError(f"{error.problem}{f' (it said: {said})' if said else ''}", error.remedy) from error
    await _take_over(workload, sidecar, replace(wanted, generation=generation), process)


async def see_off(workload: Workload, process: ProcessId) -> None:
    """Let an Envoy that takes no new connections serve its last ones, then end it."""
    socket = workload.directory.admin_of_leaving(process.pid)
    copies = _turn(process, doors.LATER)
    with contextlib.suppress(PlaitError):
        await admin.drain_all(socket)
    left = await _until_no_connection(workload, process, copies)
    if left:
        log.warning("%s: %d connections outlived the grace period of an Envoy that was replaced", workload.name, left)
    await process.end(_PATIENCE)
    socket.unlink(missing_ok=True)
    if workload.sidecar is not None:
        workload.sidecar.leaving = tuple(other for other in workload.sidecar.leaving if other != process)
    workload.write_record()


async def _begin(workload: Workload, sidecar: Sidecar, plan: SidecarPlan) -> ProcessId:
    """Start the new Envoy; a restarted agent will know of it."""
    workload.directory.admin_of_next.unlink(missing_ok=True)
    try:
        sidecar.coming = await launch(plan)
    except OSError as error:
        problem = f"the new Envoy of {workload.name} cannot be started: {plan.envoy}: {error.strerror}"
        raise RefusedError(problem, "see the setting `envoy` of the node agent") from error
    if sidecar.coming is None:
        raise _ended(workload)
    workload.write_record()
    return sidecar.coming


async def _until_it_could_serve(
    workload: Workload, process: ProcessId, generation: int, ports: frozenset[int] | None
) -> None:
    """Wait until the new Envoy holds everything and listens where the serving one does, and has not died of it."""
    ending = asyncio.create_task(process.ended())
    getting_ready = asyncio.create_task(_ready(workload, process, generation, ports or frozenset()))
    try:
        await asyncio.wait((ending, getting_ready), return_when=asyncio.FIRST_COMPLETED)
        if ending.done():
            raise _ended(workload)
        getting_ready.result()
    finally:
        ending.cancel()
        getting_ready.cancel()
        await asyncio.gather(ending, getting_ready, return_exceptions=True)


async def _ready(workload: Workload, process: ProcessId, generation: int, ports: frozenset[int]) -> None:
    context = workload.context
    await context.relay.warm_beside(workload.proxy, generation, context.settings.warm_within)
    try:
        async with asyncio.timeout(_LISTENS_WITHIN):
            await _until_it_listens(workload, process, ports)
    except TimeoutError as error:
        problem = f"the new Envoy of {workload.name} did not open its listeners within {_LISTENS_WITHIN:g} s"
        raise RefusedError(problem, "see `plait proxy logs`") from error
    await asyncio.sleep(_STEADY)


async def _until_it_listens(workload: Workload, process: ProcessId, ports: frozenset[int]) -> None:
    while True:
        open_now = doors.ports(process.pid)
        with contextlib.suppress(PlaitError):
            if (open_now is None or ports <= open_now) and await admin.is_live(workload.directory.admin_of_next):
                return
        await asyncio.sleep(_LOOK_EVERY)


async def _take_over(workload: Workload, sidecar: Sidecar, plan: SidecarPlan, process: ProcessId) -> None:
    """Make the new Envoy the one that serves. The record comes first: whoever reads it can finish the rest."""
    before = sidecar.process
    await sidecar.succeed(plan, process)
    workload.write_record()
    workload.context.relay.promote(workload.proxy, plan.generation)
    if before is not None:
        workload.directory.move_admin(before.pid)
        workload.do(see_off(workload, before))
    workload.do(workload.publish())
    log.info("%s: another Envoy serves now, generation %d", workload.name, plan.generation)


async def _give_up(workload: Workload, sidecar: Sidecar) -> None:
    """End an Envoy that could not take over."""
    process, sidecar.coming = sidecar.coming, None
    if process is not None:
        await process.end(_PATIENCE)
    workload.directory.admin_of_next.unlink(missing_ok=True)
    workload.write_record()


async def _until_no_connection(workload: Workload, process: ProcessId, copies: doors.Doors) -> int:
    """Wait for the last connection of an Envoy that leaves; how many were left when the grace period ended."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    socket, grace = workload.directory.admin_of_leaving(process.pid), workload.context.settings.grace
    left, closed = 0, False
    try:
        while process.alive() and loop.time() < began + max(grace, _CLOSES_WITHIN):
            closed = closed or not doors.ports(process.pid) or loop.time() > began + _CLOSES_WITHIN
            if closed:
                copies.close()
                left = await admin.connections(socket)
                if not left:
                    return 0
            await asyncio.sleep(_LOOK_EVERY)
    except PlaitError:
        return 0
    finally:
        copies.close()
    return left if process.alive() else 0


def _turn(process: ProcessId, place: int) -> doors.Doors:
    """Lead new connections to one of two Envoys, if this user may; the copies of the sockets of `process`."""
    try:
        copies = doors.Doors.of(process)
        copies.turn(place)
    except (PlaitError, OSError) as error:
        log.warning("new connections are not led to one Envoy alone: %s", error)
        return doors.Doors({})
    return copies


def _ended(workload: Workload) -> RefusedError:
    return RefusedError(f"the new Envoy of {workload.name} ended before it could serve", "see `plait proxy logs`")


def _size(workload: Workload) -> int:
    try:
        return workload.directory.envoy_log.stat().st_size
    except OSError:
        return 0
