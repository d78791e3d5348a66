"""One endpoint's change, sent to ten proxies over gRPC streams with mutual TLS.

This process is the control plane, with its own ADS service; `bench.subscribers` is another process that holds the
ten streams and acknowledges. The figure is all CPU of this process, gRPC's threads included, from the change until
the last of the ten has acknowledged.
"""

import asyncio
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

from bench import control
from bench.rows import Row
from plait.ads.connections import ConnectionCallbacks, Connections
from plait.ads.transport import GrpcServer, TlsIdentity, server_credentials
from plait.controlplane.publisher import Publisher
from plait.envoy.resource_set import ResourceSet
from plait.identity import spiffe
from plait.identity.authority import CertificateAuthority, open_authority
from plait.identity.svid import new_key, signing_request
from plait.snapshot.build import Builder

DOMAIN = "cluster.local"
_PATIENCE = 30.0


def _everyone(_proxy: str, _node: str) -> bool:
    return True


class Control:
    """The part of the control process that a change passes through."""

    def __init__(self, builder: Builder) -> None:
        self.builder = builder
        self.publisher = Publisher(self._send, builder.snapshot)
        callbacks = ConnectionCallbacks(
            connect=self.publisher.connect, disconnect=self.publisher.disconnect, demand=self.publisher.demand
        )
        self.connections = Connections(trust_domain=DOMAIN, registered=_everyone, callbacks=callbacks)

    def _send(self, proxy: str, resources: ResourceSet, demand: frozenset[str]) -> None:
        self.connections.publish(proxy, resources, demand=demand)

    async def settled(self) -> None:
        """Wait until all ten hold everything."""
        missing = await self.connections.settled([proxy for proxy, _ in control.callers()], _PATIENCE)
        if missing:
            raise TimeoutError(f"{len(missing)} proxies did not acknowledge within {_PATIENCE:.0f} s")

    async def change(self, revision: int) -> float:
        """Make a change and wait for its acknowledgements; the CPU it took."""
        started = time.process_time()
        control.take(self.builder, self.publisher, revision, ready=revision % 2 == 1)
        await self.settled()
        return time.process_time() - started


async def _measure(builder: Builder, folder: Path) -> list[float]:
    authority = open_authority(folder / "ca", DOMAIN)
    served = authority.server_credentials(addresses=["127.0.0.1"])
    identity = TlsIdentity(chain=served.chain, key=served.key, roots=authority.bundle)
    own = Control(builder)
    server = GrpcServer([own.connections.service.handler()])
    port = await server.listen("127.0.0.1:0", server_credentials(lambda: identity))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.subscribers", str(port), str(_credentials(authority, folder))
    )
    try:
        await _connected(own)
        await own.change(-2)
        await own.change(-1)
        return [await own.change(number) for number in range(control.CHANGES)]
    finally:
        process.terminate()
        await process.wait()
        await server.close()


async def _connected(own: Control) -> None:
    async with asyncio.timeout(_PATIENCE):
        while len(own.connections.connected()) < control.CALLERS:  # noqa: ASYNC110 - nothing tells of connections
            await asyncio.sleep(0.05)
    await own.settled()


def _credentials(authority: CertificateAuthority, folder: Path) -> Path:
    """A file of the machines' credentials: every proxy is on a machine of its own."""
    lines: list[str] = []
    for proxy, node in control.callers():
        key = new_key()
        chain = authority.sign(signing_request(key), spiffe.node_id(DOMAIN, node), ttl=timedelta(hours=1))
        lines.append("\t".join([proxy, key.hex(), chain.hex(), authority.bundle.hex()]))
    path = folder / "machines"
    path.touch(mode=0o600)
    path.write_text("\n".join(lines))
    return path


def one_endpoint(builder: Builder) -> Row:
    """The row of one endpoint's change over real streams."""
    with tempfile.TemporaryDirectory(prefix="plait-bench-") as folder:
        readings = asyncio.run(_measure(builder, Path(folder)))
    return control.change_row(f"control: the same over {control.CALLERS} gRPC streams with mTLS", readings)
