"""A loop over ready sockets and timers, for the DNS front: asyncio would be twice as large as all the rest of it."""

import heapq
import select
import sys
import time
from collections.abc import Callable

_TOLD = 100
"""Failures that are written down: what outlives everybody must not fill a disk."""


class Timer:
    """Something to do at a time, unless it is cancelled."""

    __slots__ = ("action",)

    def __init__(self, action: Callable[[], None] | None) -> None:
        self.action = action

    def cancel(self) -> None:
        """Do nothing when the time comes."""
        self.action = None


class Loop:
    """Calls back when descriptors are ready and when times have come, until stopped."""

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._ready: dict[int, Callable[[], None]] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._count = 0
        self._running = True
        self._failures = 0

    def watch(self, fd: int, ready: Callable[[], None], *, write: bool = False) -> None:
        """Call `ready` whenever the descriptor can be read, or with `write` written; replaces what was asked before."""
        known = fd in self._ready
        self._ready[fd] = ready
        change = self._poll.modify if known else self._poll.register
        change(fd, select.EPOLLOUT if write else select.EPOLLIN)

    def ignore(self, fd: int) -> None:
        """Watch a descriptor no longer, before it is closed."""
        if self._ready.pop(fd, None) is not None:
            self._poll.unregister(fd)

    def later(self, seconds: float, action: Callable[[], None]) -> Timer:
        """Do something after that time."""
        timer = Timer(action)
        self._count += 1
        heapq.heappush(self._timers, (time.monotonic() + seconds, self._count, timer))
        return timer

    def stop(self) -> None:
        """Let `run` return."""
        self._running = False

    def close(self) -> None:
        """Let go of the kernel's part, once nothing is watched any more."""
        self._poll.close()

    def run(self) -> None:
        """Work until stopped."""
        while self._running:
            for fd, _event in self._poll.poll(self._pause()):
                ready = self._ready.get(fd)
                if ready is not None:
                    self._guarded(ready)
            self._fire()

    def _pause(self) -> float:
        while self._timers and self._timers[0][2].action is None:
            heapq.heappop(self._timers)
        return max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else 3600.0

    def _fire(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            action = heapq.heappop(self._timers)[2].action
            if action is not None:
                self._guarded(action)

    def _guarded(self, action: Callable[[], None]) -> None:
        """What goes wrong costs the question it was for, and is written down, up to a limit."""
        try:
            action()
        except Exception:  # noqa: BLE001
            self._failures += 1
            if self._failures <= _TOLD:
                sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
