"""The terminal of a command that runs elsewhere: its own files, or a terminal of its own relayed to this one.

An app lives in another session than the shell that called it, so the caller's terminal can never be its controlling
one: no job control, no /dev/tty. Something interactive (it serves nothing, and both its input and its output are this
terminal) therefore gets a new pseudo-terminal, and this client relays between the two, as `ssh -t` does. Everything
else gets the caller's files themselves, so that Ctrl-C reaches the client, which sees to an orderly end.

A background job never reads from the terminal: it would take what is typed for the shell.
"""

import contextlib
import errno
import os
import termios
import tty
from collections.abc import Generator
from dataclasses import dataclass, field
from fcntl import ioctl
from typing import Any


@dataclass(slots=True)
class Terminal:
    """The files that the app gets (`fds`) and, if they are a terminal of its own, our end of it."""

    fds: tuple[int, int, int]
    master: int = -1
    owned: list[int] = field(default_factory=list[int])
    input_open: bool = True

    @property
    def is_terminal(self) -> bool:
        """Whether the app gets a terminal of its own."""
        return self.master >= 0

    def sent(self) -> None:
        """Let go of our copies of what was handed over."""
        for fd in self.owned:
            os.close(fd)
        self.owned = []

    def readers(self) -> list[int]:
        """What `relay` must be called for when it can be read."""
        if self.master < 0:
            return []
        return [self.master, 0] if self.input_open else [self.master]

    def relay(self, fd: int) -> bool:
        """Carry what can be read to the other side; False when there is nothing more."""
        try:
            data = os.read(fd, 65536)
        except OSError as error:
            if error.errno not in (errno.EIO, errno.EAGAIN):
                raise
            data = b""
        if fd != self.master:
            self.input_open = bool(data)
        elif not data:
            self.master = self._closed()
        _write(self.master if fd != self.master else 1, data)
        return bool(data)

    def flush(self) -> None:
        """Carry what the app printed last."""
        if self.master >= 0:
            os.set_blocking(self.master, False)
            while self.master >= 0 and self.relay(self.master):
                pass

    def resize(self) -> None:
        """Give the app's terminal the size of ours."""
        if self.master >= 0:
            with contextlib.suppress(OSError):
                size = ioctl(0, termios.TIOCGWINSZ, b"\0" * 8)
                ioctl(self.master, termios.TIOCSWINSZ, size)

    def _closed(self) -> int:
        os.close(self.master)
        return -1


@contextlib.contextmanager
def standard_files(*, terminal: bool) -> Generator[Terminal]:
    """The files for the app; this terminal is as before at the end of the block."""
    if not (terminal and os.isatty(0) and os.isatty(1) and _in_foreground()):
        yield _given_files()
        return
    master, slave = os.openpty()
    attributes: list[Any] = termios.tcgetattr(0)
    termios.tcsetattr(slave, termios.TCSANOW, attributes)
    files = Terminal((slave, slave, slave if os.isatty(2) else 2), master, [slave])
    files.resize()
    tty.setraw(0)
    try:
        yield files
    finally:
        files.sent()
        termios.tcsetattr(0, termios.TCSADRAIN, attributes)
        if files.master >= 0:
            os.close(files.master)


def _given_files() -> Terminal:
    if os.isatty(0) and not _in_foreground():
        nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        return Terminal((nothing, 1, 2), owned=[nothing])
    return Terminal((0, 1, 2))


def _in_foreground() -> bool:
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


def _write(fd: int, data: bytes) -> None:
    while data and fd >= 0:
        try:
            data = data[os.write(fd, data) :]
        except BlockingIOError:
            continue
        except OSError:
            return
