"""Another host: a network namespace with an interface towards this one."""

import subprocess
from collections.abc import Generator
from contextlib import contextmanager

Prefix = tuple[str, ...]
"""What a command begins with that is to run there."""


@contextmanager
def other_host(name: str, *, link: str, here: str, there: str) -> Generator[Prefix]:
    """A namespace of that name, reached over the interface `link`; `here` and `there` are the addresses of its ends."""
    subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)
    subprocess.run(["ip", "link", "delete", link], check=False, capture_output=True)
    _ip("netns", "add", name)
    try:
        _ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", name)
        _ip("addr", "add", f"{here}/24", "dev", link)
        _ip("link", "set", link, "up")
        _ip("-n", name, "addr", "add", f"{there}/24", "dev", "eth0")
        _ip("-n", name, "link", "set", "eth0", "up")
        _ip("-n", name, "link", "set", "lo", "up")
        yield ("nsenter", f"--net=/run/netns/{name}")
    finally:
        _ip("netns", "delete", name)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
