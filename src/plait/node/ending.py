"""How a workload ends: in order while there is time, and what is cleaned up whatever ended it."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from plait.errors import PlaitError
from plait.node import admin, app, launches, metrics
from plait.node.drain import drain
from plait.node.lifecycle import IMPATIENCE, Life
from plait.node.registration import Phase
from plait.node.workload import Workload

log = logging.getLogger(__name__)

_FAILED: Final = 125
_LAUNCHER_ENDS_WITHIN: Final = 8.0


@dataclass(frozen=True, slots=True)
class SidecarInbound:
    """The inbound side of a workload's sidecar, for `drain`."""

    workload: Workload

    async def connections(self) -> tuple[int, int]:
        """Connections open now, and ever."""
        habitat, directory = self.workload.settled(), self.workload.directory
        active, ever = await admin.inbound_connections(directory.admin, habitat.outbound_port)
        for process in self.workload.sidecar.leaving if self.workload.sidecar is not None else ():
            with contextlib.suppress(PlaitError):
                socket = directory.admin_of_leaving(process.pid)
                more, earlier = await admin.inbound_connections(socket, habitat.outbound_port)
                active, ever = active + more, ever + earlier
        return active, ever

    async def ask_to_leave(self) -> None:
        """Tell clients on open connections to go elsewhere."""
        if self.workload.sidecar is not None:
            self.workload.sidecar.let_doors_go()
        await admin.drain(self.workload.directory.admin)


async def leave(workload: Workload, number: int, *, insisting: bool) -> None:
    """End a workload in order: callers first, then requests in flight, then the app by this signal.

    `insisting` kills an app that stays. Otherwise the app may have meant to take no notice, and serves on. A second
    signal of the user's does not wait for the first one's order.
    """
    if workload.ended.is_set():
        return
    if workload.life.phase is Phase.DRAINING:
        workload.life = workload.life.draining(insisting=insisting)
        if not insisting:
            await _signal(workload, number)
        return
    serving = workload.habitat is not None and workload.life.phase is Phase.RUNNING and _serves(workload)
    if serving:
        grace = workload.context.settings.grace
        await drain(SidecarInbound(workload), lambda: workload.live(_draining(insisting)), grace=grace)
    else:
        workload.life = workload.life.draining(insisting=insisting)
    await _signal(workload, number)
    patience = workload.context.settings.grace if workload.life.insisting else IMPATIENCE
    if await _ended_within(workload, patience):
        return
    if workload.life.insisting:
        await _signal(workload, signal.SIGKILL)
    else:
        await workload.live(Life.survived)


def _draining(insisting: bool) -> Callable[[Life], Life]:
    return lambda life: life.draining(insisting=insisting)


async def clean_up(workload: Workload) -> None:
    """Leave nothing of a workload that has ended, and tell everybody."""
    workload.life = workload.life if workload.life.code is not None else workload.life.exited(_FAILED)
    context = workload.context
    await metrics.keep(workload)
    await workload.rest()
    workload.remember()
    context.relay.remove(workload.proxy, forget=False)
    try:
        await _withdraw(workload)
        await _end_launcher(workload)
        for beside in workload.beside:
            await beside.order(do="signal", number=signal.SIGTERM)
        if workload.habitat is not None:
            leaving = workload.sidecar.leaving if workload.sidecar is not None else ()
            without = (workload.envoy_pid, *(process.pid for process in leaving))
            await app.end_leftovers(workload.habitat, without=without)
        if workload.sidecar is not None:
            await workload.sidecar.stop()
        if context.network is not None and workload.habitat is not None and workload.habitat.netns:
            await asyncio.to_thread(context.network.remove, str(workload.name))
        context.ports.release(workload.proxy)
        await asyncio.to_thread(workload.directory.forget_run)
    finally:
        _tell_end(workload)


def _tell_end(workload: Workload) -> None:
    failure, code = workload.failure, workload.life.code
    if failure is not None:
        kind = type(failure).__name__
        workload.tell("failed", code=_FAILED, error=kind, problem=failure.problem, remedy=failure.remedy)
    else:
        workload.tell("exited", code=code)


def _serves(workload: Workload) -> bool:
    return bool(workload.spec.ports or workload.ports or workload.spec.gateway)


async def _signal(workload: Workload, number: int) -> None:
    if workload.launch is not None:
        await workload.launch.order(do="signal", number=number)
    else:
        workload.life = workload.life.exited(128 + number)
        workload.ended.set()


async def _ended_within(workload: Workload, seconds: float) -> bool:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(workload.ended.wait(), seconds)
    return workload.ended.is_set()


async def _withdraw(workload: Workload) -> None:
    if workload.habitat is None:
        return
    try:
        await workload.registrar.withdraw()
    except PlaitError as error:
        log.warning("%s is still registered: %s", workload.name, error)


async def _end_launcher(workload: Workload) -> None:
    """End a launcher that still holds its app or runs it, telling its client why."""
    failure = workload.failure
    if workload.launch is None and workload.spawned is not None:
        with contextlib.suppress(PlaitError):
            workload.launch = await launches.attach(workload.directory.launcher, workload.spawned)
    launch = workload.launch
    if launch is None:
        return
    why = {"problem": failure.problem, "remedy": failure.remedy} if failure is not None else {}
    await launch.order(do="end", code=_FAILED, **why)
    await launch.order(do="signal", number=signal.SIGTERM)
    try:
        async with asyncio.timeout(_LAUNCHER_ENDS_WITHIN):
            async for _event in launch.events():
                pass
    except TimeoutError:
        await launch.order(do="signal", number=signal.SIGKILL)
    await launch.close()
