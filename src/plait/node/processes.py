"""Processes that are not our children, or may outlive us: named by number and start time, awaited by pidfd.

A process number alone may belong to another process by the time it is used; together with the start time that the
kernel keeps it cannot.
"""

import asyncio
import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ProcessId:
    """One process for all time: its number, and when it started (in clock ticks since boot)."""

    pid: int
    started: int

    def alive(self) -> bool:
        """Whether it still runs; a zombie has ended."""
        found = _state(self.pid)
        return found is not None and found[1] == self.started and found[0] not in ("Z", "X")

    def send(self, number: int) -> None:
        """Send it a signal; one that has ended is fine."""
        with contextlib.suppress(ProcessLookupError):
            descriptor = os.pidfd_open(self.pid)
            try:
                if self.alive():
                    signal.pidfd_send_signal(descriptor, number)
            finally:
                os.close(descriptor)

    async def ended(self, *, collected: bool = True) -> None:
        """Wait until it has ended; a child's exit status is collected unless the caller wants it."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        try:
            if not self.alive():
                return
            loop.add_reader(descriptor, done.set)
            await done.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
            if collected:
                collect(self.pid)

    async def end(self, patience: float) -> None:
        """Ask it to end, wait, and kill it when it takes longer than `patience` seconds."""
        self.send(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.ended(), patience)
        except TimeoutError:
            self.send(signal.SIGKILL)
            await asyncio.wait_for(self.ended(), 5.0)


def identify(pid: int) -> ProcessId | None:
    """The process of that number, or None if there is none."""
    found = _state(pid)
    return ProcessId(pid, found[1]) if found is not None else None


def collect(pid: int) -> None:
    """Collect the exit status of a child, if it is one of ours and has ended."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _state(pid: int) -> tuple[str, int] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    words = text.rpartition(")")[2].split()
    return words[0], int(words[19])
