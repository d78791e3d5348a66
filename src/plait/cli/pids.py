"""Process ids under STATE/run: who writes them, who trusts them.

A part writes its own file when it starts and removes it when it ends. A file left by a killed process is recognised
because no process of that number runs plait any more.
"""

import contextlib
import os
import signal
import time
from collections.abc import Generator
from pathlib import Path

from plait.errors import ForbiddenError


def write(path: Path, pid: int) -> None:
    """Write a process id, whole or not at all."""
    fresh = path.with_name(f".{path.name}.{pid}")
    fresh.write_text(f"{pid}\n")
    fresh.replace(path)


@contextlib.contextmanager
def registered(path: Path) -> Generator[None]:
    """Keep this process's id in the file for as long as the block runs."""
    write(path, os.getpid())
    try:
        yield
    finally:
        if read(path) == os.getpid():
            path.unlink(missing_ok=True)


def read(path: Path) -> int | None:
    """The process id in the file, or None."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def alive(path: Path) -> int | None:
    """The process id in the file if that process still runs and is plait."""
    pid = read(path)
    return pid if pid and is_plait(pid) else None


def is_plait(pid: int) -> bool:
    """Whether a process of that number runs plait (and is not merely waiting to be collected)."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return b"plait" in command


def terminate(pid: int, *, patience: float) -> bool:
    """Ask a process to end and wait for it; kills it when it takes too long. False if it had to be killed."""
    _signal(pid, signal.SIGTERM)
    if _gone_within(pid, patience):
        return True
    _signal(pid, signal.SIGKILL)
    _gone_within(pid, 5)
    return False


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
    except PermissionError:
        raise ForbiddenError(f"process {pid} belongs to another user", "run this as its owner") from None


def _gone_within(pid: int, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while is_plait(pid):
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True
