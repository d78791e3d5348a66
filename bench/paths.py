"""A way from a client to the app: where its load goes, which processes are its sidecars, and how they are made anew.

Each has a client's and a server's network namespace, and an app of its own. Sidecars are kept on the machine's second
core, load and app on its first, so that on two cores nothing of ours competes with the sidecars.
"""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import calls, load, processes, upstream
from bench.calls import Call
from bench.places import Places
from plait.node import netns

SIDECAR_CORE: Final = 1
SERVICE: Final = "240.240.0.10"
DIRECT: Final = "direct"
HOST: Final = "web"


def _nobody() -> tuple[int, ...]:
    return ()


def _nothing(_protocol: calls.Protocol) -> None:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class PathUnderTest:
    """One way to the app, between the namespaces in `places` (the client's and the server's).

    `address` is what the client calls, `only` the one protocol that this path is told of whatever is spoken, `host` the
    name in its requests. `beside` are processes that serve the sidecars of the whole machine.
    """

    name: str
    address: str
    places: tuple[str, str]
    host: str = HOST
    only: calls.Protocol | None = None
    sidecars: Callable[[], tuple[int, ...]] = _nobody
    restart: Callable[[calls.Protocol], None] = _nothing
    beside: tuple[int, ...] = ()

    def target(self, call: Call) -> load.Target:
        """Where the load of such calls goes."""
        protocol = self.only or call.protocol
        port = protocol.app_port if self.name == DIRECT else protocol.port
        return load.Target(netns=self.places[0], address=self.address, port=port, host=self.host, call=call)

    def sides(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The sidecars of the caller and of the server."""
        pids = frozenset(self.sidecars())
        caller, server = (tuple(pid for pid in netns.processes(place) if pid in pids) for place in self.places)
        return caller, server

    @contextmanager
    def favoured(self, niceness: int) -> Generator[None]:
        """Give everything on the way another priority, while it is read."""
        self._favour(niceness)
        try:
            yield
        finally:
            self._favour(0)

    def _favour(self, niceness: int) -> None:
        processes.favour((pid for place in self.places for pid in netns.processes(place)), niceness)

    def prepare(self, call: Call, within: float = 20) -> None:
        """Wait until it answers, then keep its sidecars on their core and warm them."""
        until = time.monotonic() + within
        while problem := self._problem(call):
            if time.monotonic() > until:
                raise RuntimeError(f"{self.name}: no answer to {call} within {within:.0f} s: {problem}")
            time.sleep(0.1)
        processes.pin(self.sidecars(), SIDECAR_CORE)
        load.saturate(self.target(call), load.Run(seconds=1))

    def _problem(self, call: Call) -> str:
        """Why it does not answer; empty if it does."""
        target = self.target(call)
        try:
            if call.protocol.multiplexed:
                seen = load.saturate(target, load.Run(seconds=1), connections=1)
            else:
                seen = load.pace(target, load.Run(seconds=0.05), rate=200)
        except RuntimeError as error:
            return str(error)
        return f"{seen.failed} of {seen.requests + seen.failed}" if seen.failed or not seen.requests else ""


def direct(places: Places, folder: Path) -> PathUnderTest:
    """Client and app without any proxy between them."""
    client, server = places.make("direct/client", capture=False), places.make("direct/web", capture=False)
    app = folder / "direct"
    places.start(server, upstream.command(app), folder=app)
    return PathUnderTest(name=DIRECT, address=server.address, places=(client.netns, server.netns))
