"""The workloads of this machine: who may start them, who may touch them, and their tasks.

A name belongs to one workload at a time. What runs belongs to the user who started it: others may neither stop it nor
run commands in it; root and the agent's own user may.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Coroutine, Iterator
from typing import Any, Final

from plait.errors import AlreadyExistsError, ForbiddenError, NotFoundError, PlaitError
from plait.identity.attestation import PeerProcess, attest
from plait.model.ids import ObjectName
from plait.node import probes, starting
from plait.node.callers import Caller, User, user_for
from plait.node.context import NodeContext
from plait.node.habitat import choose_capture
from plait.node.resolver import Asker
from plait.node.workload import Workload
from plait.node.workload_spec import WorkloadSpec, parse

log = logging.getLogger(__name__)

_CLEANED_WITHIN: Final = 15.0


class Registry:
    """The workloads that run here."""

    def __init__(self, context: NodeContext) -> None:
        self.context = context
        self._workloads: dict[ObjectName, Workload] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __iter__(self) -> Iterator[Workload]:
        return iter(tuple(self._workloads.values()))

    async def create(self, document: dict[str, Any], caller: Caller, peer: PeerProcess) -> Workload:
        """A workload for what a client asks to run; it is not started yet. Every refusal is raised here."""
        spec = parse(document)
        await self._check_identity(spec, caller, peer)
        user = self._user(spec, caller)
        if not spec.gateway:
            probes.parse(spec.probe, has_port=bool(spec.ports))
        context = self.context
        possible = context.network is not None
        default = context.settings.capture
        capture = choose_capture(spec.capture, default, possible=possible, why_not=context.why_explicit)
        if await self._taken(spec.name):
            problem = f"a workload {spec.name} runs on this machine already"
            raise AlreadyExistsError(problem, f"choose another --name, or end it: plait stop {spec.name.name}")
        workload = Workload(context, spec, owner=caller, user=user, capture=capture)
        self._workloads[spec.name] = workload
        return workload

    def forget(self, workload: Workload) -> None:
        """Give up a created workload that was not started."""
        self._workloads.pop(workload.name, None)

    def start(self, workload: Workload, start: starting.Start) -> None:
        """Start a created workload; it is forgotten when nothing of it is left."""
        self._run(workload, starting.run(workload, start))

    def adopt(self, workload: Workload, record: dict[str, Any]) -> None:
        """Take up a workload of an earlier agent."""
        self._workloads[workload.name] = workload
        self._run(workload, starting.adopt(workload, record))

    def of(self, namespace: str, name: str, caller: Caller | None = None) -> Workload:
        """The workload of that name, if the caller may touch it."""
        found = self._workloads.get(ObjectName(namespace=namespace, name=name))
        if found is None:
            raise NotFoundError(f"no workload {namespace}/{name} runs on this machine", "see `plait get workloads`")
        if caller is not None:
            self.check_owner(found, caller)
        return found

    def check_owner(self, workload: Workload, caller: Caller) -> None:
        """Refuse what the caller may not touch."""
        if caller.uid not in (0, os.geteuid(), workload.owner.uid):
            raise ForbiddenError(f"the workload {workload.name} belongs to user {workload.owner.uid}", "ask its owner")

    def asker(self, address: str) -> Asker | None:
        """The workload that has that address, as the DNS server needs it."""
        for workload in self._workloads.values():
            if workload.habitat is not None and workload.habitat.netns and workload.habitat.address == address:
                return Asker(proxy=workload.proxy, namespace=workload.name.namespace)
        return None

    async def detach(self) -> None:
        """Let go of every workload and leave it running."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for workload in self._workloads.values():
            await workload.detach()

    async def _taken(self, name: ObjectName) -> bool:
        """Whether a workload of that name runs; one whose app is gone already is waited for."""
        found = self._workloads.get(name)
        if found is not None and found.ended.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(found.finished.wait(), _CLEANED_WITHIN)
        return name in self._workloads

    async def _check_identity(self, spec: WorkloadSpec, caller: Caller, peer: PeerProcess) -> None:
        if caller.uid not in (0, os.geteuid()):
            attest(peer, (await self.context.mesh.refresh()).grants, spec.name.namespace, spec.service_account)

    def _user(self, spec: WorkloadSpec, caller: Caller) -> User | None:
        user = user_for(caller, spec.user)
        if os.geteuid() == 0:
            return user
        if user.uid != os.geteuid():
            problem = f"this mesh belongs to user {os.geteuid()}, whose node agent cannot run an app as you"
            raise ForbiddenError(problem, "start a mesh of your own with `plait up`")
        return None

    def _run(self, workload: Workload, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(self._to_the_end(workload, work), name=f"workload {workload.name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _to_the_end(self, workload: Workload, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except PlaitError as error:
            log.warning("%s did not end cleanly: %s", workload.name, error)
        except Exception:
            log.exception("%s did not end cleanly", workload.name)
        self._workloads.pop(workload.name, None)
        workload.finished.set()
