"""The Envoy of a workload: what it is started with, and how the next agent takes it up.

It is upgraded only when somebody asks: an agent that was started with another Envoy keeps those that run. An Envoy
that leaves is seen off by the next agent; one that had not begun to serve when its agent ended is ended.
"""

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from functools import partial
from typing import Any, Final

from plait.errors import PlaitError, RefusedError
from plait.node import handover
from plait.node.processes import ProcessId
from plait.node.registration import Phase
from plait.node.sidecar import Sidecar, SidecarPlan
from plait.node.workload import Workload

log = logging.getLogger(__name__)

_PATIENCE: Final = 1.0


def plan_of(workload: Workload, *, generation: int = 0) -> SidecarPlan:
    """What the workload's Envoy would be started with now."""
    habitat, context = workload.settled(), workload.context
    return SidecarPlan(
        proxy=workload.proxy,
        directory=workload.directory,
        envoy=context.envoy,
        netns=habitat.netns,
        uid=context.proxy_uid,
        files=dict(habitat.files) if habitat.netns else {},
        resolvers=context.resolvers if habitat.netns else (),
        generation=generation,
        holds=not workload.spec.gateway,
        drain_seconds=context.settings.drain_time,
    )


def sidecar_of(workload: Workload, *, generation: int = 0) -> Sidecar:
    """The workload's Envoy, not started yet."""
    detach = partial(workload.context.relay.detach, workload.proxy)
    plan = plan_of(workload, generation=generation)
    return Sidecar(plan, started=partial(_changed, workload), ended=detach)


def current(workload: Workload) -> bool:
    """Whether its Envoy is what would be started now."""
    sidecar = workload.sidecar
    return sidecar is None or sidecar.build == plan_of(workload).build()


def recalled(workload: Workload, record: Mapping[str, Any]) -> Sidecar:
    """The Envoy that an earlier agent started, and those beside it, not watched yet."""
    sidecar = sidecar_of(workload, generation=int(record.get("generation", 0)))
    sidecar.process = ProcessId(*record["envoy"]) if record["envoy"] else None
    sidecar.reached = int(record.get("reached", sidecar.plan.generation))
    sidecar.build = str(record.get("build", ""))
    sidecar.coming = next((ProcessId(*known) for known in record.get("coming", ())), None)
    sidecar.leaving = tuple(ProcessId(*known) for known in record.get("leaving", ()))
    return sidecar


async def adopt(workload: Workload, sidecar: Sidecar) -> None:
    """Keep a recalled Envoy running, see off those that leave, end one that did not serve yet."""
    directory = workload.directory
    if sidecar.coming is not None:
        log.warning("%s: an Envoy that was about to take over is ended", workload.name)
        await sidecar.coming.end(_PATIENCE)
        sidecar.coming = None
        directory.admin_of_next.unlink(missing_ok=True)
    elif sidecar.leaving and directory.admin_of_next.exists():
        directory.move_admin(sidecar.leaving[-1].pid)
    await sidecar.adopt()
    for process in sidecar.leaving:
        workload.do(handover.see_off(workload, process))


async def upgrade(workload: Workload, *, force: bool) -> bool:
    """Let an Envoy take over that is started as it would be now; False if the one that serves was, unless forced.

    Raises why it was not possible; then the one that served serves on.
    """
    if current(workload) and not force:
        return False
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    workload.do(_tell(done, handover.hand_over(workload, plan_of(workload)), workload))
    await done
    return True


async def _tell(done: "asyncio.Future[None]", work: Coroutine[Any, Any, None], workload: Workload) -> None:
    """Do something that ends with its workload, and tell who waits how it went."""
    try:
        await work
    except asyncio.CancelledError:
        done.set_exception(RefusedError(f"{workload.name} ended meanwhile", "see `plait get workloads`"))
        raise
    except PlaitError as error:
        done.set_exception(error)
    except Exception as error:
        done.set_exception(PlaitError(f"the node agent failed for {workload.name}: {error}", "see its log"))
        raise
    else:
        done.set_result(None)


async def _changed(workload: Workload, process: ProcessId) -> None:
    del process
    if workload.life.phase is Phase.RUNNING:
        workload.do(workload.publish())
    elif workload.habitat is not None and workload.life.phase is not Phase.EXITED:
        workload.write_record()
