"""The file resolv.conf: what the machine's says, and what a workload gets.

A workload's file names the machine's DNS and the search list of its namespace. `ndots` stays 1, unlike in Kubernetes:
the machine's DNS answers `reviews.default` itself, so a foreign name is asked once and not four times. The machine's
own search domains follow, so that short names of the network around it still work.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MACHINE_FILE = Path("/etc/resolv.conf")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvConf:
    """The parts of a resolv.conf that matter here."""

    servers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()


def parse(text: str) -> ResolvConf:
    """Read a resolv.conf; what is not understood is skipped, as the C library does."""
    servers: list[str] = []
    search: tuple[str, ...] = ()
    for line in text.splitlines():
        words = line.split("#")[0].split(";")[0].split()
        if len(words) > 1 and words[0] == "nameserver" and _is_address(words[1]):
            servers.append(words[1])
        elif len(words) > 1 and words[0] in ("search", "domain"):
            search = tuple(word.rstrip(".") for word in words[1:] if word != ".")
    return ResolvConf(servers=tuple(servers), search=search)


def of_machine(path: Path = MACHINE_FILE) -> ResolvConf:
    """The machine's resolv.conf; none there means the resolver of the machine itself."""
    try:
        found = parse(path.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        found = ResolvConf()
    return found if found.servers else ResolvConf(servers=("127.0.0.1",), search=found.search)


def search_list(namespace: str, *, domain: str = "cluster.local", machine: ResolvConf | None = None) -> tuple[str, ...]:
    """The domains in which a workload of `namespace` looks for short names."""
    own = (f"{namespace}.svc.{domain}", f"svc.{domain}", domain)
    around = (machine or of_machine()).search
    return (*own, *(other for other in around if other not in own))


def render(server: str, search: Sequence[str]) -> str:
    """The resolv.conf of a workload; it asks again soon, so that a restart of the agent only delays an answer."""
    return f"nameserver {server}\nsearch {' '.join(search)}\noptions ndots:1 timeout:1 attempts:5\n"


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True
