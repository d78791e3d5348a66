"""Brings control up to date about this machine after its store was restored from a backup.

A restored control knows of the workloads that ran when the backup was taken. Its settings then name the restore and
those workloads. When the agent first hears of a restore it registers again all that runs here, and only then removes
the entries of what has ended since: callers lose no endpoint that still answers.
"""

import asyncio
import contextlib
import logging
from typing import Final

from plait.errors import DeadlineError, PlaitError, UnreachableError
from plait.node.context import NodeContext
from plait.node.registry import Registry

log = logging.getLogger(__name__)

_AGAIN_AFTER: Final = 1.0


class RestoreFollower:
    """Acts once on each restore."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._seen = registry.context.mesh.current.restored
        self._tasks: set[asyncio.Task[None]] = set()

    def look(self) -> None:
        """Act in the background if control was restored since it was last asked."""
        current = self._registry.context.mesh.current
        if current.restored == self._seen:
            return
        self._seen = current.restored
        log.info("control was restored from a backup; registering this machine's workloads again")
        task = asyncio.create_task(self._bring_up_to_date(current.restored_workloads), name="restored")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _bring_up_to_date(self, known: tuple[str, ...]) -> None:
        for workload in self._registry:
            workload.registrar.forget()
            with contextlib.suppress(PlaitError):
                await workload.publish()
        here = {str(workload.name) for workload in self._registry}
        for name in known:
            if name not in here:
                await _deregister(self._registry.context, name)


async def _deregister(context: NodeContext, name: str) -> None:
    """Remove an entry, again until control answers; one that belongs to another machine by now is left."""
    namespace, _, plain = name.partition("/")
    while True:
        try:
            await context.control.deregister(namespace, plain)
            return
        except (UnreachableError, DeadlineError):
            await asyncio.sleep(_AGAIN_AFTER)
        except PlaitError as error:
            log.warning("the entry of %s, which ended, is not removed: %s", name, error)
            return
