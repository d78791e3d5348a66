"""The node agent: everything wired together, and nothing else. `serve` reads from top to bottom."""

import asyncio
import logging
import os
import pwd
import signal
import sys
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final

import uvloop

from plait.ads import rate_limit_relay
from plait.ads.client import Relay
from plait.ads.transport import Channels
from plait.aio import readiness
from plait.aio.supervise import supervise
from plait.errors import PlaitError
from plait.node import adoption, dns_link, doctor, foreign_names, housekeeping, join, metrics, moved, wire
from plait.node.agent import Agent
from plait.node.certificates import Certificates
from plait.node.context import NodeContext
from plait.node.control_link import ControlLink
from plait.node.dns import DnsAnswers
from plait.node.dns_forward import machine_servers
from plait.node.dns_link import DnsLink
from plait.node.holdings import Holdings
from plait.node.membership import MachineIdentity
from plait.node.mesh_settings import MeshSettings
from plait.node.network import MachineNetwork
from plait.node.registration import Machine
from plait.node.registry import Registry
from plait.node.renewal import RenewalTimes
from plait.node.resolvconf import MACHINE_FILE
from plait.node.resolver import MeshResolver
from plait.node.restored import RestoreFollower
from plait.node.settings import NodeSettings, find_envoy
from plait.node.starting import first_error
from plait.node.state import NodeDirectory, mesh_id
from plait.node.upstream import Upstream

log = logging.getLogger(__name__)

_PROXY_USER: Final = "plait-proxy"
_PROXY_UID: Final = 60900
_DNS_WITHIN: Final = 0.9


async def serve(settings: NodeSettings) -> None:
    """Run until SIGTERM or SIGINT; workloads run on, and the next agent adopts them."""
    uid = proxy_uid()
    directory = NodeDirectory(settings.state_dir)
    directory.prepare(proxy_uid=uid or 0)
    envoy = find_envoy(settings)
    joined = await join.member(settings, directory)
    identity = MachineIdentity(await moved.followed(joined, settings, directory), directory)
    member = identity.member.membership
    channels = Channels(identity.addresses, identity.tls)
    control = ControlLink(channels)
    limits = rate_limit_relay.handler(channels)
    relay = Relay(directory=directory.cache, channels=channels, beside=[limits])
    network, why_explicit = await asyncio.to_thread(_network, settings, directory, member.cidr)
    context = NodeContext(
        settings=settings,
        directory=directory,
        machine=Machine(name=member.node, address=member.address, locality=settings.locality),
        control=control,
        relay=relay,
        certificates=Certificates(control, member.trust_domain, times=RenewalTimes(identity.bundle)),
        bundle=identity.bundle,
        mesh=MeshSettings(control, directory.identity / "settings.json"),
        envoy=envoy,
        network=network,
        why_explicit=why_explicit,
        proxy_uid=uid,
        resolvers=((network.gateway, network.dns_port + 1),) if network is not None else (),
    )
    registry = Registry(context)
    async with _relaying(relay, directory, uid):
        await _work(registry, identity, control=control, relay=relay)
    if network is not None and not list(registry):
        await asyncio.to_thread(network.teardown)
    await channels.close()


async def _work(registry: Registry, identity: MachineIdentity, *, control: ControlLink, relay: Relay) -> None:
    """Adopt what an earlier agent left, then serve clients until SIGTERM or SIGINT.

    Names are answered when the workloads are known; until then questions wait at the machine's DNS front.
    """
    context = registry.context
    holdings = Holdings(identity)
    context.mesh.holds = lambda: holdings.told(registry)
    context.mesh.changed.append(lambda: housekeeping.mesh_changed(registry, identity))
    context.mesh.changed.append(RestoreFollower(registry).look)
    housekeeping.tell_who_signs(registry, identity)
    agent = Agent(registry, lambda: doctor.examine(registry, identity))
    async with asyncio.TaskGroup() as group:
        background = [group.create_task(identity.renew_for_ever(control))]
        dns = _dns(registry, relay)
        if dns is not None:
            dns[0].prepare()
            background.append(group.create_task(dns[1]))
        await adoption.adopt(registry)
        if dns is not None:
            background.append(group.create_task(supervise("dns", dns[0].run)))
        await adoption.clean(context)
        background.append(
            group.create_task(supervise("statistics", lambda: metrics.report(control, lambda: registry, context.ended)))
        )
        background.append(group.create_task(supervise("settings", context.mesh.keep_fresh)))
        background.append(group.create_task(supervise("housekeeping", lambda: housekeeping.keep(registry))))
        background.append(group.create_task(agent.serve(context.directory.socket)))
        await _until_stopped()
        readiness.tell(readiness.STOPPING)
        if dns is not None and not list(registry):
            dns[0].end()
        for task in background:
            task.cancel()
        await registry.detach()
        if dns is not None and not list(registry):
            dns_link.end(context.directory.dns)


def proxy_uid() -> int | None:
    """The user of Envoys: the one made for them, else a number that belongs to nobody; None where we cannot choose."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(_PROXY_USER).pw_uid
    except KeyError:
        return _PROXY_UID


def _network(settings: NodeSettings, directory: NodeDirectory, cidr: str) -> tuple[MachineNetwork | None, str]:
    """The machine's network, or why there is none."""
    if settings.capture == "explicit":
        return None, "the node agent was told to capture explicitly"
    if not settings.privileged:
        return None, "the node agent does not run as root"
    network = MachineNetwork(mesh_id(settings.state_dir), cidr, state=directory.network, dns_port=settings.dns_port)
    try:
        warnings = network.setup()
    except PlaitError as error:
        if settings.capture == "transparent":
            raise
        log.warning("workloads are captured explicitly: %s", error)
        return None, error.problem
    for warning in warnings:
        log.warning("%s", warning)
    return network, ""


@asynccontextmanager
async def _relaying(relay: Relay, directory: NodeDirectory, uid: int | None) -> AsyncGenerator[None]:
    """Serve Envoys while the block runs."""
    listening = asyncio.Event()
    directory.relay.unlink(missing_ok=True)
    with wire.short_path(directory.relay) as address:

        def ready() -> None:
            directory.relay.chmod(0o600)
            if uid is not None:
                os.chown(directory.relay, uid, uid)
            listening.set()

        serving = asyncio.create_task(relay.serve(f"unix:{address}", ready=ready))
        waiting = asyncio.create_task(listening.wait())
        try:
            await asyncio.wait((serving, waiting), return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                await serving
            yield
        finally:
            serving.cancel()
            waiting.cancel()
            await asyncio.gather(serving, waiting, return_exceptions=True)


def _dns(registry: Registry, relay: Relay) -> tuple[DnsLink, Coroutine[Any, Any, None]] | None:
    """What answers the machine's DNS front, and what keeps the names it found foreign, if there is a front."""
    context = registry.context
    network = context.network
    if network is None:
        return None
    resolver = MeshResolver(
        workload_of=registry.asker,
        demand=lambda proxy, host: relay.demand(proxy, host, _DNS_WITHIN),
        known_foreign=foreign_names.load(context.directory.foreign),
    )
    upstream = Upstream(machine_servers(str(MACHINE_FILE), without=network.gateway))

    def owner(address: str) -> str:
        asker = registry.asker(address)
        return asker.proxy if asker is not None else ""

    link = DnsLink(
        DnsAnswers(resolver, upstream=upstream, host_at=resolver.host_at),
        owner,
        path=context.directory.dns,
        address=network.gateway,
        port=network.dns_port,
    )
    keeping = supervise("foreign names", lambda: foreign_names.keep(context.directory.foreign, resolver.known_foreign))
    return link, keeping


async def _until_stopped() -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    await stopping.wait()


def main(settings: NodeSettings) -> int:
    """Run the node agent; a user's mistake is one line and the exit code of its kind."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        uvloop.run(serve(settings))
    except (PlaitError, ExceptionGroup) as error:
        known = first_error(error)
        if known is None:
            raise
        sys.stderr.write(f"plait node: {known}\n")
        return known.exit_code
    return 0
