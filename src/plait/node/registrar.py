"""Keeps a workload's entry at control as it is here: newest wins, in order, again until control has taken it.

The first registration must succeed, unless the workload ran here before: a name that is taken elsewhere is told to the
user. Later ones that control cannot take now (it is away) are repeated until it can, since nobody waits for them.
"""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from typing import Any, Final

from plait.errors import DeadlineError, PlaitError, UnreachableError
from plait.node.surroundings import Control

log = logging.getLogger(__name__)

_AGAIN_AFTER: Final = 0.5
_LONGEST: Final = 10.0


class Registrar:
    """The entry of one workload."""

    def __init__(self, control: Control, namespace: str, name: str) -> None:
        self._control = control
        self._namespace = namespace
        self._name = name
        self._wanted: Mapping[str, Any] | None = None
        self._told: Mapping[str, Any] | None = None
        self._lock = asyncio.Lock()
        self._behind = asyncio.Event()

    async def publish(self, document: Mapping[str, Any]) -> bool:
        """Write the entry; False if control does not answer, and it is written later. A refusal is raised."""
        self._wanted = document
        async with self._lock:
            if document is not self._wanted or document == self._told:
                return self._told is not None
            try:
                await self._control.register(document)
            except (UnreachableError, DeadlineError):
                self._behind.set()
                return False
            self._told = document
            return True

    def forget(self) -> None:
        """Take it that control knows nothing: the next registration is made even if it says nothing new."""
        self._told = None

    async def withdraw(self) -> None:
        """Remove the entry; if control does not answer, the next agent's start removes it."""
        self._wanted = None
        async with self._lock:
            with contextlib.suppress(UnreachableError, DeadlineError):
                await self._control.deregister(self._namespace, self._name)

    async def keep_up(self) -> None:
        """Repeat, for ever, what control could not take."""
        pause = _AGAIN_AFTER
        while True:
            await self._behind.wait()
            self._behind.clear()
            await asyncio.sleep(pause)
            if self._wanted is None or self._wanted == self._told:
                continue
            try:
                await self.publish(self._wanted)
            except PlaitError as error:
                log.warning("%s/%s is not registered: %s", self._namespace, self._name, error)
            pause = min(_LONGEST, pause * 2) if self._behind.is_set() else _AGAIN_AFTER
