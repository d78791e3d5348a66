"""The control process: everything wired together, and nothing else. `serve` reads from top to bottom."""

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Callable, Mapping

import uvloop

from plait.aio import readiness
from plait.aio.supervise import supervise
from plait.api.app import create_app
from plait.api.backend import Backend
from plait.api.server import ApiServer
from plait.controlplane import backup, uplinks
from plait.controlplane.ca_routes import add_ca_routes
from plait.controlplane.cluster import Cluster, joining
from plait.controlplane.everywhere import Everywhere
from plait.controlplane.extensions import add_extensions
from plait.controlplane.memory import keep_trimmed
from plait.controlplane.mesh import Mesh, settled_mesh
from plait.controlplane.metrics import MeshCollector, serve_metrics
from plait.controlplane.operations import add_operation_routes
from plait.controlplane.parts import Control
from plait.controlplane.rate_limits import rate_limits
from plait.controlplane.reached import LOOPBACK, listen_address, publish_endpoints
from plait.controlplane.seed import seed
from plait.controlplane.settings import ControlSettings
from plait.controlplane.state import StateDirectory
from plait.controlplane.views import Views
from plait.controlplane.workers import Workers
from plait.errors import PlaitError, RefusedError
from plait.identity.authority import CertificateAuthority, open_authority
from plait.store.sqlite import SqliteStore
from plait.store.store import KeptStore

log = logging.getLogger(__name__)


async def serve(settings: ControlSettings) -> None:
    """Run until cancelled."""
    state = StateDirectory(settings.state_dir.absolute())
    state.prepare()
    cluster = joining(settings, state)
    if cluster is not None and settings.workers:
        raise RefusedError(
            "--workers is for a control that has its store for itself", "start another control on the same etcd instead"
        )
    try:
        if cluster is not None:
            await cluster.take()
        await _serve(settings, state, cluster)
    finally:
        if cluster is not None:
            await cluster.close()


async def _serve(settings: ControlSettings, state: StateDirectory, cluster: Cluster | None) -> None:
    mesh, authority = _settled(state, settings)
    while cluster is not None and not await cluster.put():
        mesh, authority = _settled(state, settings)
    store: KeptStore = await cluster.open(authority) if cluster else SqliteStore.open(state.database)
    backup.sweep(state)
    others = cluster or (Workers(state, settings.workers) if settings.workers else None)
    control = Control(state, store, authority, mesh, leaf_life=settings.leaf_ttl, others=others)
    control.envoy = settings.envoy
    control.admission.takes_envoy_filters = settings.allow_envoy_filter
    await seed(store, control.admission.finish, strict=not settings.permissive)
    await control.reconciler.start()
    outside = listen_address(settings.listen)
    control.certificates.issue([outside[0]] if outside else [])
    views = Views(
        control.publisher,
        control.connections,
        control.machines,
        control.objects,
        trust_domain=control.mesh.trust_domain,
        locate=control.builder.located,
    )
    everywhere = Everywhere(views, control.machines, control.ask)
    limits = rate_limits(settings, lambda: control.publisher.snapshot, control.mesh.trust_domain)
    try:
        async with uplinks.served(control, everywhere, limits, outside):
            if cluster is not None:
                await _attend(control, cluster, outside)
            await _serve_api(control, views, everywhere, outside, gauges=limits.gauges)
    finally:
        if cluster is None:
            await store.close()


async def _attend(control: Control, cluster: Cluster, outside: tuple[str, int] | None) -> None:
    """Let the other controls know of this one."""
    host = outside[0] if outside else LOOPBACK
    if outside is None:
        log.warning("other controls reach this one on this machine only: add --listen ADDRESS")
    address = f"{host}:{control.access.ads_port}"
    await cluster.attend(address, lambda: uplinks.identity(control), control.connections.send_away)


def _settled(state: StateDirectory, settings: ControlSettings) -> tuple[Mesh, CertificateAuthority]:
    """What the state directory holds of the mesh beside its objects; made at first use."""
    mesh = settled_mesh(state, settings)
    given = (settings.ca_cert, settings.ca_key) if settings.ca_cert and settings.ca_key else None
    state.owner_token()
    return mesh, open_authority(state.authority, mesh.trust_domain, given=given)


async def _serve_api(
    control: Control,
    views: Views,
    everywhere: Everywhere,
    outside: tuple[str, int] | None,
    *,
    gauges: Callable[[], Mapping[str, float]],
) -> None:
    """Serve the API until the process is told to stop."""
    app = create_app(_backend(control, views, everywhere))
    add_extensions(
        app,
        control.holders,
        bundle=lambda: control.authority.bundle,
        ads_port=lambda: control.access.ads_port,
    )
    add_ca_routes(app, control.authority, control.machines.rotations)
    add_operation_routes(app, control.state, control.store, everywhere.machines)
    server = ApiServer(app)
    server.add_unix(control.state.api_socket)
    host, port = _listen(control, server, outside)
    collector = MeshCollector(
        control.machines.edges.samples, lambda: {**views.gauges(), **control.gauges(), **gauges()}
    )
    metrics_port = serve_metrics(collector, control.state.remembered_port("metrics"))
    control.state.remember_port("metrics", metrics_port)

    def tell() -> None:
        ads_port = control.access.ads_port
        views.endpoints = publish_endpoints(
            control.state, control.authority, host=host, port=port, ads_port=ads_port, metrics_port=metrics_port
        )

    def roots_changed() -> None:
        control.certificates.renew()
        server.follow_certificates()
        tell()

    tell()
    control.authority.changed.append(roots_changed)
    await _until_stopped(control, server)


def _backend(control: Control, views: Views, everywhere: Everywhere) -> Backend:
    """What the API asks of this process."""
    return Backend(
        store=control.store,
        authenticate=control.access.authenticate,
        admission=control.admission.admit,
        workloads=views.workloads,
        proxies=everywhere.proxies,
        proxy_config=everywhere.proxy_config,
        why=control.why.answer,
        rehearse=control.rehearsals.answer,
        edges=everywhere.edges,
        status=everywhere.status,
        join=control.access.join,
        create_token=control.access.create_token,
    )


def _listen(control: Control, server: ApiServer, outside: tuple[str, int] | None) -> tuple[str, int]:
    """Listen with TLS on loopback and on the address given; the host and port to reach the API at are remembered."""
    certificate, key = control.certificates.files
    wanted = outside[1] if outside and outside[1] else control.state.remembered_port("api")
    try:
        _, port = server.add_tls(LOOPBACK, wanted, certificate=certificate, key=key)
    except RefusedError:
        if outside and outside[1]:
            raise
        _, port = server.add_tls(LOOPBACK, 0, certificate=certificate, key=key)
    control.state.remember_port("api", port)
    control.access.api_port = port
    if outside is None or outside[0] in (LOOPBACK, "localhost"):
        return LOOPBACK, port
    server.add_tls(outside[0], port, certificate=certificate, key=key)
    control.access.reached_at = f"{outside[0]}:{port}"
    return outside[0], port


async def _until_stopped(control: Control, server: ApiServer) -> None:
    """Serve and reconcile until SIGTERM or SIGINT."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    background = [
        asyncio.create_task(supervise("reconciler", control.reconciler.run)),
        asyncio.create_task(supervise("statuses", control.statuses.keep)),
        asyncio.create_task(supervise("memory", keep_trimmed)),
        asyncio.create_task(supervise("turns", lambda: control.publisher.turns.run(control.publisher.take_turn))),
        asyncio.create_task(supervise("refusals", lambda: control.refusals.run(control.connections))),
        asyncio.create_task(supervise("certificates", control.certificates.renew_forever)),
        asyncio.create_task(supervise("rotations", control.machines.rotations.run)),
    ]
    serving = asyncio.create_task(server.serve())
    stopped = asyncio.create_task(stopping.wait())
    readiness.tell(readiness.READY)
    await asyncio.wait([serving, stopped], return_when=asyncio.FIRST_COMPLETED)
    readiness.tell(readiness.STOPPING)
    server.stop()
    for task in [*background, stopped]:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    await serving


def main(settings: ControlSettings) -> int:
    """Run the control process; a user's mistake is one line and the exit code of its kind."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        uvloop.run(serve(settings))
    except PlaitError as error:
        sys.stderr.write(f"plait control: {error}\n")
        return error.exit_code
    return 0
