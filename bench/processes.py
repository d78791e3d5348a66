"""CPU and memory of processes, as the kernel accounts them."""

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from plait.node import netns

PROC = Path("/proc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Megabytes (10^6): resident, of it not backed by files, and resident with shared pages divided by their users."""

    resident: float
    anonymous: float
    proportional: float

    def __add__(self, other: "Memory") -> "Memory":
        return Memory(
            resident=self.resident + other.resident,
            anonymous=self.anonymous + other.anonymous,
            proportional=self.proportional + other.proportional,
        )


NO_MEMORY = Memory(resident=0, anonymous=0, proportional=0)


def cpu_seconds(pids: Iterable[int]) -> float:
    """Seconds that all threads of these processes have run (nanoseconds of `schedstat`)."""
    total = 0
    for pid in pids:
        for task in (PROC / str(pid) / "task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Seconds that processes ran their own code, and that the kernel worked for them."""

    user: float
    kernel: float


def times(pids: Iterable[int]) -> Times:
    """The times of these processes so far, in the kernel's ticks (10 ms on most machines)."""
    user = kernel = 0
    for pid in pids:
        words = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        user += int(words[11])
        kernel += int(words[12])
    ticks = os.sysconf("SC_CLK_TCK")
    return Times(user=user / ticks, kernel=kernel / ticks)


def parse_rollup(text: str) -> Memory:
    """The memory that a `smaps_rollup` tells of."""
    kilobytes = {words[0]: int(words[1]) for line in text.splitlines()[1:] if (words := line.split())[-1:] == ["kB"]}
    return Memory(
        resident=kilobytes["Rss:"] * 1024 / 1e6,
        anonymous=kilobytes["Anonymous:"] * 1024 / 1e6,
        proportional=kilobytes["Pss:"] * 1024 / 1e6,
    )


def memory(pids: Iterable[int]) -> Memory:
    """The memory of these processes together."""
    total = NO_MEMORY
    for pid in pids:
        total += parse_rollup((PROC / str(pid) / "smaps_rollup").read_text())
    return total


def inside(namespace: str, program: str) -> tuple[int, ...]:
    """The processes of that program in a network namespace."""
    return tuple(pid for pid in netns.processes(namespace) if executable(pid) == program)


def executable(pid: int) -> str:
    """The name of the file that a process runs; empty if it is gone or not ours to see."""
    try:
        return (PROC / str(pid) / "exe").readlink().name
    except OSError:
        return ""


def pin(pids: Iterable[int], core: int) -> None:
    """Keep all threads of these processes on one core; on a machine with one core nothing is done."""
    if core not in os.sched_getaffinity(0):
        return
    for pid in pids:
        for task in (PROC / str(pid) / "task").iterdir():
            os.sched_setaffinity(int(task.name), {core})


def favour(pids: Iterable[int], niceness: int) -> None:
    """Let these processes run before others of the machine (negative) or like them (0), where that is allowed.

    Linux shares a core among sessions first (autogroups), so each process must be the head of a session of its own.
    """
    for pid in pids:
        with contextlib.suppress(OSError):
            (PROC / str(pid) / "autogroup").write_text(str(niceness))
        with contextlib.suppress(OSError):
            for task in (PROC / str(pid) / "task").iterdir():
                os.setpriority(os.PRIO_PROCESS, int(task.name), niceness)
