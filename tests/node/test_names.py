"""Names as a workload's C library resolves them: resolv.conf, nft, the DNS server and the mesh's answers together."""

import asyncio
import subprocess
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from plait.errors import UnreachableError
from plait.model.view import NameRecord
from plait.node import commands
from plait.node.dns import DnsAnswers
from plait.node.dns_link import DnsLink, end
from plait.node.place import Place
from plait.node.resolver import Asker, MeshResolver
from plait.node.upstream import Upstream
from tests.node.machines import Machine, machine, needs_root

pytestmark = [needs_root, pytest.mark.integration]

HOSTS = {"reviews.default.svc.cluster.local": "240.240.0.5", "api.example.com": "240.240.0.6"}


async def demand(proxy: str, host: str) -> NameRecord | None:
    """The mesh knows two hosts, and fails for a third as it does while control is away."""
    assert proxy == "default/app"
    if host == "away.default.svc.cluster.local":
        raise UnreachableError("control is away")
    return NameRecord(host=host, addresses=(HOSTS[host],)) if host in HOSTS else None


@contextmanager
def dns_of(here: Machine, place: Place, folder: Path) -> Generator[None]:
    """The machine's DNS front, running in the machine's namespace, and an agent that answers it in a thread."""
    askers = {place.address: Asker(proxy="default/app", namespace="default")}
    started, stop = threading.Event(), threading.Event()
    resolvers = folder / "nobody.conf"
    resolvers.write_text("nameserver 127.0.0.1\n")

    async def serve() -> None:
        network = here.network
        answers = DnsAnswers(MeshResolver(workload_of=askers.get, demand=demand), upstream=Upstream(lambda: []))
        link = DnsLink(
            answers,
            lambda _: "default/app",
            path=folder / "dns.sock",
            address=network.gateway,
            port=network.dns_port,
            resolvers=resolvers,
        )
        link.prepare()
        task = asyncio.create_task(link.run())
        started.set()
        await asyncio.to_thread(stop.wait)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        end(folder / "dns.sock")

    thread = threading.Thread(target=lambda: here.here(lambda: asyncio.run(serve())))
    thread.start()
    assert started.wait(10)
    try:
        yield
    finally:
        stop.set()
        thread.join()


def resolved(place: Place, folder: Path, name: str) -> tuple[int, set[str]]:
    """What `getent` says in the place, with the place's own resolv.conf: its exit code, and the addresses."""
    file = folder / "resolv.conf"
    file.write_text(place.resolv_conf)
    script = f"mount --bind {file} /etc/resolv.conf && exec getent ahostsv4 {name}"
    command = ["nsenter", f"--net={place.path}", "unshare", "--mount", "sh", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, {line.split()[0] for line in done.stdout.splitlines()}


def test_names_resolve_as_the_mesh_says(tmp_path: Path):
    """All spellings of a service and a ServiceEntry's host lead to service addresses; other names to none."""
    with machine(state=tmp_path) as here:
        place = here.place("default/app")
        with dns_of(here, place, tmp_path):
            for spelling in ("reviews", "reviews.default", "reviews.default.svc", "reviews.default.svc.cluster.local"):
                assert resolved(place, tmp_path, spelling) == (0, {"240.240.0.5"})
            assert resolved(place, tmp_path, "api.example.com") == (0, {"240.240.0.6"})
            for nobody in ("ratings", "reviews.other", "away.default", "www.example.com"):
                assert resolved(place, tmp_path, nobody) == (2, set())
            hidden = tmp_path / "other.conf"
            hidden.write_text("nameserver 192.0.2.99\n")
            command = f"mount --bind {hidden} /etc/resolv.conf && exec getent ahostsv4 reviews.default"
            seen = commands.run(["nsenter", f"--net={place.path}", "unshare", "--mount", "sh", "-c", command])
            assert seen.startswith("240.240.0.5"), "whatever server the app asks"
