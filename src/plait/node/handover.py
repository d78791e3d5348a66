"""A new Envoy takes over from the one that serves, under the running app, without losing a connection.

    1  new connections are led to the serving Envoy alone (see `doors`); the new one is started beside it, with an
       admin socket of its own, and is sent the same configuration
    2  it is warm, live and listens; until here every failure ends it, and nothing has changed
    3  it is written down as the one that serves; new connections are led to it alone
    4  the earlier one asks its clients to leave, and is ended when its last connection is gone; it is sent every change
       of the configuration until then
    5  it still listens, so that its listeners take these changes too; it closes its ports when a third Envoy is to
       come, because new connections can be led to one of two

Clients of HTTP leave with their next answer. Where an Envoy only passes on bytes, other Envoys are told of the
workload's generation once new connections arrive at the new one, and make those they use for HTTP anew. A connection
of TCP stays as long as its app wants, and so does one of a client without an Envoy: up to `MAX_CONNECTION_AGE` and the
grace period; what is open then is cut.

The two need not be of the same version, and the second may be the same binary with another bootstrap.
"""

import asyncio
import contextlib
import logging
from dataclasses import replace
from pathlib import Path
from typing import Final

from plait.envoy import bootstrap
from plait.errors import PlaitError, RefusedError
from plait.node import admin, doors, state
from plait.node.processes import ProcessId
from plait.node.registration import Phase
from plait.node.sidecar import Sidecar, SidecarPlan, launch
from plait.node.workload import Workload

log = logging.getLogger(__name__)

_STEADY: Final = 0.3
_LISTENS_WITHIN: Final = 5.0
_TAKEN_WITHIN: Final = 0.5
"""Seconds in which an Envoy has taken what was connecting to it when new connections were led elsewhere."""
_CLOSES_WITHIN: Final = 4.0
_LOOK_EVERY: Final = 0.05
_LOOK_LATER: Final = 0.5
_PATIENCE: Final = 1.0


async def hand_over(workload: Workload, wanted: SidecarPlan) -> None:
    """Replace the workload's Envoy by one that is started as wanted; raises why that is not possible."""
    sidecar = workload.sidecar
    if sidecar is None:
        raise _not_serving(workload)
    async with sidecar.turning:  # until an earlier one has closed its ports
        await _replace(workload, sidecar, replace(wanted, generation=sidecar.plan.generation + 1))


async def _replace(workload: Workload, sidecar: Sidecar, wanted: SidecarPlan) -> None:
    before = sidecar.process
    if before is None or not before.alive() or workload.life.phase is not Phase.RUNNING:
        raise _not_serving(workload)
    logged = _size(workload)
    for process in sidecar.leaving:
        await _close(workload, process)
    _turn(before, doors.EARLIER).close()
    try:
        process = await _begin(workload, sidecar, replace(wanted, admin=state.ADMIN_OF_NEXT))
        await _until_it_could_serve(workload, process, wanted.generation, doors.ports(before.pid))
    except BaseException as error:
        await _give_up(workload, sidecar)
        if not isinstance(error, PlaitError):
            raise
        said = admin.last_words(workload.directory.envoy_log, since=logged)
        raise RefusedError(f"{error.problem}{f' (it said: {said})' if said else ''}", error.remedy) from error
    await _take_over(workload, sidecar, wanted, process)


async def see_off(workload: Workload, process: ProcessId) -> None:
    """Let an Envoy that takes no new connections serve its last ones, then end it."""
    socket = workload.directory.admin_of_leaving(process.pid)
    async with workload.sidecar.turning if workload.sidecar is not None else contextlib.nullcontext():
        led = await _step_aside(process)
        with contextlib.suppress(PlaitError):
            await (admin.drain_all(socket) if led else admin.stop_listening(socket))
        _renew_callers(workload, process)
    left = await _until_no_connection(workload, process)
    if left:
        log.warning("%s: %d connections outlived an Envoy that was replaced", workload.name, left)
    counted = await _counted(socket)
    await process.end(_PATIENCE)
    socket.unlink(missing_ok=True)
    if workload.sidecar is not None:
        workload.sidecar.counted += counted
        workload.sidecar.leaving = tuple(other for other in workload.sidecar.leaving if other != process)
    workload.write_record()


async def _step_aside(process: ProcessId) -> bool:
    """Lead new connections to the Envoy that came after this one, and let it take those that wait at its own ports.

    False where this user may not lead them: they are shared until this one closes its ports.
    """
    if not doors.ports(process.pid):
        return False
    copies = _turn(process, doors.LATER)
    try:
        await asyncio.sleep(_TAKEN_WITHIN)
        return bool(copies)
    finally:
        copies.close()


def _renew_callers(workload: Workload, process: ProcessId) -> None:
    """Tell callers, if it was the last to step aside, that connections they make now arrive at another Envoy."""
    sidecar = workload.sidecar
    if sidecar is not None and sidecar.leaving[-1:] == (process,) and sidecar.reached != sidecar.plan.generation:
        sidecar.reached = sidecar.plan.generation
        workload.do(workload.publish())


async def _close(workload: Workload, process: ProcessId) -> None:
    """Let an Envoy that leaves close its ports; raises RefusedError if it does not."""
    await _step_aside(process)
    deadline = asyncio.get_running_loop().time() + _CLOSES_WITHIN
    with contextlib.suppress(PlaitError):
        await admin.stop_listening(workload.directory.admin_of_leaving(process.pid))
    while doors.ports(process.pid):
        if asyncio.get_running_loop().time() >= deadline:
            problem = f"the Envoy of {workload.name} that was replaced before (process {process.pid}) listens still"
            raise RefusedError(problem, "end that process, or wait until it has ended")
        await asyncio.sleep(_LOOK_EVERY)


async def _counted(socket: Path) -> tuple[str, ...]:
    try:
        return (await admin.prometheus(socket),)
    except PlaitError:
        return ()


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


async def _until_no_connection(workload: Workload, process: ProcessId) -> int:
    """Wait for the last connection of an Envoy that leaves; how many were left when time was up."""
    deadline = asyncio.get_running_loop().time() + bootstrap.MAX_CONNECTION_AGE + workload.context.settings.grace
    left = 0
    while process.alive() and asyncio.get_running_loop().time() < deadline:
        try:
            left = await admin.connections(workload.directory.admin_of_leaving(process.pid))
        except PlaitError:
            return 0
        if not left:
            return 0
        await asyncio.sleep(_LOOK_LATER)
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


def _not_serving(workload: Workload) -> RefusedError:
    return RefusedError(f"the proxy of {workload.name} does not serve", "wait until it runs: `plait proxy list`")


def _ended(workload: Workload) -> RefusedError:
    return RefusedError(f"the new Envoy of {workload.name} ended before it could serve", "see `plait proxy logs`")


def _size(workload: Workload) -> int:
    try:
        return workload.directory.envoy_log.stat().st_size
    except OSError:
        return 0
