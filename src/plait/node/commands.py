"""Run the machine's network tools (`ip`, `nft`) with their input on stdin.

Both take a whole batch in one process (`ip -batch -`, `nft -f -`), which costs 3-5 ms against 0.8 s and 13 MB for
importing pyroute2 into the agent. A tool that is missing or refuses becomes one sentence that says what to install or
what the tool said.
"""

import subprocess
from collections.abc import Sequence

from plait.errors import PlaitError, RefusedError

TIMEOUT = 10.0
"""Seconds after which a tool is given up; both normally take milliseconds."""

_PACKAGES = {"ip": "iproute2", "nft": "nftables"}


class NetworkError(PlaitError):
    """The kernel or a network tool refused a change that ought to have worked."""


def run(command: Sequence[str], text: str = "") -> str:
    """Run a tool with `text` on its stdin and return what it printed; a failure becomes a NetworkError."""
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except FileNotFoundError as error:
        package = _PACKAGES.get(command[0], command[0])
        raise RefusedError(
            f"the command `{command[0]}` is not installed, and transparent capture needs it",
            f"install the package {package}, or use --capture explicit",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise NetworkError(f"`{' '.join(command)}` did not end within {TIMEOUT:.0f} s") from error
    if done.returncode != 0:
        raise _explained(command, done.stderr.strip())
    return done.stdout


def works(command: Sequence[str]) -> bool:
    """Whether a command exists and succeeds."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def batch(lines: Sequence[str], *, netns: str | None = None) -> None:
    """Run `ip` sub-commands in one process, in the named namespace or this one."""
    where = ["-n", netns] if netns else []
    run(["ip", *where, "-batch", "-"], "".join(f"{line}\n" for line in lines))


def _explained(command: Sequence[str], said: str) -> PlaitError:
    tool = " ".join(command)
    first = next((line for line in said.splitlines() if line.strip()), "nothing")
    if "Operation not permitted" in said or "must be root" in said:
        return RefusedError(
            "no permission to change the machine's network (CAP_NET_ADMIN and CAP_SYS_ADMIN are needed)",
            "run the node agent as root, or use --capture explicit",
        )
    return NetworkError(f"`{tool}` failed: {first.strip()}")
