"""DNS fronts for tests: one in a thread of this process, with resolvers that a test chooses."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from plait.node.dns import DnsAnswers
from plait.node.dns_forward import Forwarder
from plait.node.dns_front import Front
from plait.node.dns_link import DnsLink, end, listener_at, sockets_at
from plait.node.dns_link import build as program
from plait.node.dns_loop import Loop

PROGRAM = program()


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A front that runs: where workloads ask, where Envoys ask, and where agents connect."""

    port: int
    outside: int
    path: Path
    front: Front
    ended: Callable[[], bool]

    def link(self, answers: DnsAnswers, owner: Callable[[str], str] = lambda _: "default/app") -> DnsLink:
        """What answers it."""
        return DnsLink(answers, owner, path=self.path, address="127.0.0.1", port=self.port)

    @asynccontextmanager
    async def answered(self, answers: DnsAnswers) -> AsyncGenerator[None]:
        """Have it answered during the block, as by an agent that dies at its end."""
        task = asyncio.create_task(self.link(answers).run())
        await asyncio.sleep(0)
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@contextmanager
def front(
    folder: Path,
    servers: Callable[[], Sequence[tuple[str, int]]] = lambda: (),
    *,
    address: str = "127.0.0.1",
    patience: float = 4.0,
    attempt: float = 0.2,
    build: str = PROGRAM,
) -> Generator[Running]:
    """A front that runs during the block."""
    sockets = [*sockets_at(address, 0), *sockets_at(address, 0)]
    path = folder / "dns.sock"
    loop = Loop()
    forwarder = Forwarder(loop, lambda: tuple(servers()), attempt=attempt, deadline=1.0)
    made = Front(loop, sockets, listener_at(path), forwarder=forwarder, build=build.encode(), patience=patience)
    ports = [sock.getsockname()[1] for sock in sockets]
    thread = threading.Thread(target=made.run)
    thread.start()
    running = Running(port=ports[0], outside=ports[2], path=path, front=made, ended=lambda: not thread.is_alive())
    try:
        yield running
    finally:
        end(path)
        thread.join(5)
        assert not thread.is_alive(), "a front that is told to end ends"
        for sock in sockets:
            sock.close()
