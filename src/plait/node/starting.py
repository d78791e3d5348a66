"""How a workload comes up, or is adopted.

At a start everything that needs no other's result is done at once: the launcher is started and holds the app, a
certificate is obtained, the place is made; the sidecar starts as soon as the place is there, while the entry is
registered. When the sidecar has acknowledged its configuration, the app starts.

Adopting does the same with what is there: the launcher answers on its socket, the Envoy is known by its process number
and start time, certificate and names are on disk. What has died meanwhile is ended as usual.
"""

import asyncio
import contextlib
import logging
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from plait.errors import PlaitError, RefusedError, UnreachableError
from plait.identity.svid import Svid
from plait.model.services import Capture, Protocol
from plait.node import admin, ending, envoys, launches, watch
from plait.node.app import Stdio
from plait.node.habitat import Habitat, settle
from plait.node.lifecycle import Life
from plait.node.registration import Phase
from plait.node.state import read_json, write_json
from plait.node.workload import Workload

log = logging.getLogger(__name__)

_CERTIFY_AGAIN: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What a client gave for the app: its files, the launcher's end of the client's socket (-1: none), its umask."""

    stdio: Stdio
    client: int
    umask: int

    def close(self) -> None:
        """Let go of them; the launcher has its own."""
        self.stdio.close()
        if self.client >= 0:
            os.close(self.client)


async def run(workload: Workload, start: Start) -> None:
    """Start a workload and stay with it until nothing of it is left."""
    workload.do(_guarded(workload, start))
    await workload.ended.wait()
    await ending.clean_up(workload)


async def adopt(workload: Workload, record: dict[str, Any]) -> None:
    """Take up a workload that an earlier agent started, and stay with it until nothing of it is left."""
    workload.do(_take_up(workload, record))
    await workload.ended.wait()
    await ending.clean_up(workload)


def first_error(error: BaseException) -> PlaitError | None:
    """The first error in a group that a user can be told."""
    if isinstance(error, BaseExceptionGroup):
        members = cast("tuple[BaseException, ...]", error.exceptions)  # pyright: ignore[reportUnknownMemberType]
        return next((found for member in members if (found := first_error(member))), None)
    if isinstance(error, OSError):
        place = f" ({error.filename})" if error.filename else ""
        return RefusedError(
            f"this machine refused: {error.strerror or error}{place}", "free what is used up, try again"
        )
    return error if isinstance(error, PlaitError) else None


async def _guarded(workload: Workload, start: Start) -> None:
    try:
        await _begin(workload, start)
    except Exception as error:
        known = first_error(error)
        if known is None:
            raise
        workload.fail(known)


async def _begin(workload: Workload, start: Start) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(_hold(workload, start))
        certificate = group.create_task(_obtain(workload))
        group.create_task(_settle(workload))
    await _warm(workload, certificate.result())
    document = workload.place.document(
        workload.spec.command,
        environment=workload.environment,
        folder=workload.spec.working_directory,
        caller=workload.owner,
        umask=start.umask,
    )
    if workload.launch is not None:
        await workload.launch.order(do="start", document=document)


async def _obtain(workload: Workload) -> Svid:
    identity = await workload.context.certificates.obtain(workload.account)
    workload.done("certificate")
    return identity


async def _hold(workload: Workload, start: Start) -> None:
    """Start the launcher, which holds the app."""
    directory = workload.directory
    document = {
        "socket": str(directory.launcher),
        "exit_file": str(directory.exit_file),
        "terminal": start.stdio.terminal,
        "grace": 5.0,
        "idle": bool(workload.spec.gateway),
    }
    try:
        workload.spawned = launches.spawn(document, start.stdio.fds, client=start.client)
    finally:
        start.close()
    workload.launch = await launches.attach(directory.launcher, workload.spawned)
    workload.done("launcher")
    workload.do(_follow(workload, workload.launch))


async def _settle(workload: Workload) -> None:
    """Make the place; then register and start the sidecar at once."""
    context, spec = workload.context, workload.spec
    if workload.capture is Capture.TRANSPARENT and context.network is not None:
        uid = context.proxy_uid or 0
        workload.habitat = await settle(spec, context.network, directory=workload.directory, envoy_uid=uid)
    else:
        kept = workload.directory.root / "ports.json"
        listeners = (await context.mesh.refresh()).gateways.get(workload.gateway, ()) if spec.gateway else ()
        workload.habitat = context.ports.settle(spec, read_json(kept), listeners=listeners)
        write_json(kept, {"ports": list(workload.habitat.own_ports())})
    workload.done("place")
    async with asyncio.TaskGroup() as group:
        group.create_task(_introduce(workload))
        group.create_task(_start_sidecar(workload))


async def _introduce(workload: Workload) -> None:
    """Register it; while control is away, it starts with what its sidecar held last."""
    told = await workload.publish()
    workload.done("registered")
    workload.context.relay.add(workload.proxy, workload.hosts(), resume=not told)


async def _start_sidecar(workload: Workload) -> None:
    workload.sidecar = envoys.sidecar_of(workload)
    await workload.sidecar.start()
    workload.done("sidecar")


async def _warm(workload: Workload, identity: Svid) -> None:
    workload.use(identity)
    workload.keep_doing("certificate", lambda: _keep_certified(workload))
    workload.keep_doing("registration", workload.registrar.keep_up)
    workload.do(workload.live(Life.warming))
    try:
        await workload.context.relay.warm(workload.proxy, workload.context.settings.warm_within)
    except PlaitError as error:
        raise _cold(workload, error) from error
    workload.done("warm")


def _cold(workload: Workload, error: PlaitError) -> PlaitError:
    """Why a sidecar has no configuration."""
    said = admin.last_words(workload.directory.envoy_log)
    if workload.sidecar is not None and workload.sidecar.restarts:
        return RefusedError(f"the sidecar of {workload.name} does not start: {said}", "run `plait doctor`")
    more = f" (it said: {said})" if said else ""
    return UnreachableError(f"the sidecar of {workload.name} got no configuration: {error.problem}{more}", error.remedy)


async def _follow(workload: Workload, launch: launches.Launch, *, adopted: bool = False) -> None:
    """Do what the launcher's news ask for, until the app has ended."""
    async for message in launch.events():
        match message["event"]:
            case "held" if adopted:
                problem = f"the node agent ended before it had started {workload.name}"
                workload.fail(RefusedError(problem, "start it again"))
            case "started":
                _started(workload, message)
            case "signal":
                workload.do(ending.leave(workload, int(message["number"]), insisting=False))
            case "client gone":
                workload.do(ending.leave(workload, signal.SIGTERM, insisting=True))
            case "exited" | "failed":
                workload.life = workload.life.exited(int(message["code"]))
            case _:
                pass
    if workload.life.code is None:
        workload.life = workload.life.exited(int(read_json(workload.directory.exit_file).get("code", 137)))
    workload.ended.set()


def _started(workload: Workload, message: dict[str, Any]) -> None:
    pid = int(message["pid"])
    if not workload.environment and pid:
        workload.environment = environment_of(pid)
    workload.done("app")
    workload.tell("started", pid=pid)
    workload.do(workload.live(lambda life: life.running(pid)))
    workload.keep_doing("readiness", lambda: watch.readiness(workload))
    workload.keep_doing("protocols", lambda: watch.protocols(workload))
    if message.get("pending"):
        workload.do(ending.leave(workload, int(message["pending"]), insisting=False))
    elif message.get("abandoned"):
        workload.do(ending.leave(workload, signal.SIGTERM, insisting=True))


async def _take_up(workload: Workload, record: dict[str, Any]) -> None:
    workload.habitat = Habitat.of(record["habitat"])
    workload.protocols = {int(port): Protocol(value) for port, value in record["protocols"].items()}
    workload.ports = tuple(record["ports"])
    workload.life = Life(phase=Phase.WARMING, answering=bool(record["answering"]))
    if workload.habitat.capture is Capture.EXPLICIT:
        workload.context.ports.keep(workload.proxy, workload.habitat.own_ports())
    sidecar = workload.sidecar = envoys.recalled(workload, record)
    try:
        launch = await launches.attach(workload.directory.launcher)
    except PlaitError:
        workload.known.set()
        workload.life = workload.life.exited(int(read_json(workload.directory.exit_file).get("code", 137)))
        workload.ended.set()
        return
    workload.launch = launch
    workload.context.relay.add(workload.proxy, workload.hosts(), generation=sidecar.plan.generation)
    workload.known.set()
    workload.do(_certify(workload))
    workload.keep_doing("registration", workload.registrar.keep_up)
    await envoys.adopt(workload, sidecar)
    workload.do(_follow(workload, launch, adopted=True))


async def _certify(workload: Workload) -> None:
    """Give an adopted workload its certificate; it runs on while control cannot give a new one."""
    certificates = workload.context.certificates
    while True:
        try:
            identity = await certificates.obtain(workload.account)
        except PlaitError as error:
            log.warning("%s has no valid certificate: %s", workload.name, error.problem)
            await asyncio.sleep(_CERTIFY_AGAIN)
            continue
        workload.use(identity)
        await _keep_certified(workload)


async def _keep_certified(workload: Workload) -> None:
    if workload.identity is not None:
        await workload.context.certificates.renewals(workload.account, workload.identity, workload.use)


def environment_of(pid: int) -> dict[str, str]:
    """The environment a process was started with, as far as it may be read."""
    with contextlib.suppress(OSError):
        raw = Path(f"/proc/{pid}/environ").read_bytes()
        items = (item.partition(b"=") for item in raw.split(b"\0") if b"=" in item)
        return {name.decode(errors="replace"): value.decode(errors="replace") for name, _, value in items}
    return {}
