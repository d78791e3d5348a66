"""Where machines reach control: one port on loopback and on the address given, served by this process or by workers."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import grpc

from plait.ads.node_forwarding import named
from plait.ads.node_service import by_certificate
from plait.ads.node_service import handler as node_handler
from plait.ads.peer_service import handler as peer_handler
from plait.ads.transport import GrpcServer, TlsIdentity, server_credentials
from plait.controlplane.everywhere import Everywhere
from plait.controlplane.parts import Control
from plait.controlplane.reached import LOOPBACK
from plait.controlplane.worker_service import Beginning, WorkerService
from plait.controlplane.workers import Workers
from plait.errors import RefusedError
from plait.limiting.service import RateLimits

Address = tuple[str, int]
"""Host and port; 0 is any."""


@asynccontextmanager
async def served(
    control: Control, everywhere: Everywhere, limits: RateLimits, outside: Address | None
) -> AsyncGenerator[None]:
    """Serve machines meanwhile; the port is remembered in the state directory."""
    servers: list[GrpcServer] = []
    try:
        if control.workers is None:
            servers = await _serve(control, everywhere, limits, outside)
        else:
            await _start_workers(control, control.workers, limits, outside)
        yield
    finally:
        for server in servers:
            await server.close(0.2)
        if control.workers is not None:
            await control.workers.close()


async def _serve(
    control: Control, everywhere: Everywhere, limits: RateLimits, outside: Address | None
) -> list[GrpcServer]:
    """Start ADS on loopback and on the address given; its port is remembered."""

    def credentials() -> grpc.ServerCredentials:
        """New ones for each listener: they tell what changed since that listener asked last."""
        return server_credentials(lambda: identity(control))

    domain = control.mesh.trust_domain
    asked = {
        **control.holders.methods(),
        **everywhere.methods(),
        **control.machines.rotations.methods(),
        **control.refusals.methods(control.connections),
        **(control.cluster.methods() if control.cluster is not None else {}),
    }
    handlers = [
        control.connections.service.handler(),
        node_handler(control.machines, by_certificate(domain)),
        peer_handler(asked, domain),
        limits.handler(by_certificate(domain)),
    ]
    local = GrpcServer(handlers)

    async def listen(port: int) -> int:
        return await local.listen(f"{LOOPBACK}:{port}", credentials())

    port = await _port(control, outside, listen)
    servers = [local]
    if outside and outside[0] not in (LOOPBACK, "localhost"):
        server = GrpcServer(handlers)
        await server.listen(f"{outside[0]}:{port}", credentials())
        servers.append(server)
    return servers


async def _start_workers(control: Control, workers: Workers, limits: RateLimits, outside: Address | None) -> None:
    """Leave ADS to workers, on the same addresses; its port is remembered."""

    async def reserve(port: int) -> int:
        return workers.reserve(LOOPBACK, port)

    port = await _port(control, outside, reserve)
    hosts = [LOOPBACK]
    if outside and outside[0] not in (LOOPBACK, "localhost"):
        workers.reserve(outside[0], port)
        hosts.append(outside[0])
    addresses = tuple(f"{host}:{port}" for host in hosts)

    def beginning() -> Beginning:
        domain = control.mesh.trust_domain
        shown = identity(control)
        return Beginning(trust_domain=domain, addresses=addresses, identity=shown, at_once=workers.opened)

    service = WorkerService(control.store, beginning)
    await workers.start([service.handler(), node_handler(control.machines, named), limits.handler(named)])


async def _port(control: Control, outside: Address | None, take: Callable[[int], Awaitable[int]]) -> int:
    """The port on loopback, taken: the one after that of the API if it was given, else that of last time, else any."""
    given = outside[1] + 1 if outside and outside[1] else 0
    wanted = given or control.state.remembered_port("ads")
    try:
        port = await take(wanted)
    except RefusedError:
        if given or not wanted:
            raise
        port = await take(0)
    control.state.remember_port("ads", port)
    control.access.ads_port = port
    return port


def identity(control: Control) -> TlsIdentity:
    """What the ADS servers show now. gRPC asks from a thread of its own, so the certificate is looked at once."""
    current = control.certificates.current
    return TlsIdentity(chain=current.chain, key=current.key, roots=control.authority.bundle)
