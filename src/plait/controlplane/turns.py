"""Whose turn it is: the proxies that are to be brought to the newest snapshot, worked off in short slices.

A change that concerns a thousand proxies is not made in one go: in between streams are read, endpoints go out, and
the API answers. Proxies whose endpoints changed come first, since a caller must not wait for what left; if such a one
has to be projected anyway, that is done first. The others follow in the order of the changes that concern them.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from plait.aio.signal import Condition, Signal

SLICE: Final = 0.004
"""Seconds of work after which others are let in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What is to be done for a proxy: project it (`force`: and send it everything), or only send it endpoints."""

    proxy: str
    project: bool
    force: bool = False


class Turns:
    """The proxies that wait, and since which revision of the store."""

    def __init__(self) -> None:
        self.seconds = 0.0
        """CPU spent on turns that were taken in slices."""
        self._balanced: dict[str, int] = {}
        self._projected: dict[str, tuple[int, bool]] = {}
        self._added = Signal()
        self._finished = Condition()

    def project(self, proxy: str, revision: int, *, force: bool) -> None:
        """The proxy's view may differ."""
        since, forced = self._projected.get(proxy, (revision, False))
        self._projected[proxy] = (since, force or forced)
        self._added.notify()

    def balance(self, proxy: str, revision: int) -> None:
        """Endpoints that the proxy balances over may differ."""
        self._balanced.setdefault(proxy, revision)
        self._added.notify()

    def drop(self, proxy: str) -> None:
        """Nothing is to be done for that proxy any more."""
        self._balanced.pop(proxy, None)
        self._projected.pop(proxy, None)

    def waits(self, proxy: str) -> bool:
        """Whether something is to be done for that proxy."""
        return proxy in self._projected or proxy in self._balanced

    def take(self) -> Turn | None:
        """The next turn, None if nobody waits."""
        proxy = next(iter(self._balanced or self._projected), None)
        if proxy is None:
            return None
        self._balanced.pop(proxy, None)
        projected = self._projected.pop(proxy, None)
        return Turn(proxy=proxy, project=projected is not None, force=projected is not None and projected[1])

    def owes(self, revision: int) -> bool:
        """Whether somebody waits for that revision or an earlier one."""
        oldest = [
            next(iter(self._balanced.values()), None),
            next((since for since, _ in self._projected.values()), None),
        ]
        return any(since is not None and since <= revision for since in oldest)

    async def done(self, revision: int) -> None:
        """Return once everybody has been sent what that revision of the store has for them."""
        await self._finished.until(lambda: not self.owes(revision))

    async def run(self, work: Callable[[Turn], None], *, slice_seconds: float = SLICE) -> None:
        """Take turns for ever, letting others in after each slice."""
        while True:
            while self._worked(work, slice_seconds):
                self._finished.notify()
                await asyncio.sleep(0)
            self._finished.notify()
            await self._added.wait()

    def _worked(self, work: Callable[[Turn], None], seconds: float) -> bool:
        """Work for so long, one turn at least; whether somebody still waits."""
        began, until = time.thread_time(), time.monotonic() + seconds
        try:
            while (turn := self.take()) is not None:
                work(turn)
                if time.monotonic() >= until:
                    break
        finally:
            self.seconds += time.thread_time() - began
        return bool(self._balanced or self._projected)
