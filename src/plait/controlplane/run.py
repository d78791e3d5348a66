"""The control process: everything wired together, and nothing else. `serve` reads from top to bottom."""

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import uvloop

from plait.ads.connections import ConnectionCallbacks, Connections
from plait.ads.node_service import handler as node_handler
from plait.ads.transport import GrpcServer, TlsIdentity, server_credentials
from plait.aio import readiness
from plait.aio.supervise import supervise
from plait.api.app import create_app
from plait.api.backend import Backend
from plait.api.server import ApiServer
from plait.controlplane.access import Access
from plait.controlplane.admission import Admission
from plait.controlplane.ca_routes import add_ca_routes
from plait.controlplane.credentials import ServerCertificates
from plait.controlplane.extensions import add_extensions
from plait.controlplane.machines import Machines
from plait.controlplane.mesh import Mesh, settled_mesh
from plait.controlplane.metrics import MeshCollector, serve_metrics
from plait.controlplane.objects import Objects
from plait.controlplane.publisher import Publisher
from plait.controlplane.reached import LOOPBACK, publish_endpoints
from plait.controlplane.reconcile import Reconciler
from plait.controlplane.refusals import Refusals
from plait.controlplane.seed import seed
from plait.controlplane.settings import ControlSettings
from plait.controlplane.state import StateDirectory
from plait.controlplane.views import Views
from plait.controlplane.why import Why
from plait.envoy.resource_set import ResourceSet
from plait.errors import PlaitError, RefusedError
from plait.identity.authority import CertificateAuthority, open_authority
from plait.model.ids import ObjectName
from plait.snapshot.build import Builder
from plait.store.sqlite import SqliteStore

log = logging.getLogger(__name__)

HELD_WITHIN: Final = 1.0
"""Seconds that the callers of a workload that ends have to acknowledge that."""


def listen_address(text: str | None) -> tuple[str, int] | None:
    """HOST and PORT (0: any) to listen on beside loopback, from HOST, HOST:PORT or [IPv6]:PORT."""
    if not text:
        return None
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]") or (text.count(":") > 1 and not text.startswith("[")):
        host, port = text, "0"
    if not port.isdigit() or int(port) > 65534:
        raise PlaitError(f"--listen {text!r}: the port is not a number up to 65534", "write HOST or HOST:PORT")
    return host.strip("[]"), int(port)


class Control:
    """The parts of the control process."""

    def __init__(
        self,
        state: StateDirectory,
        store: SqliteStore,
        authority: CertificateAuthority,
        mesh: Mesh,
        *,
        leaf_life: timedelta,
    ) -> None:
        self.state = state
        self.store = store
        self.authority = authority
        self.mesh = mesh
        self.admission = Admission()
        self.objects = Objects(store, self.admission.finish)
        self.builder = Builder(trust_domain=mesh.trust_domain)
        self.publisher = Publisher(self._send, self.builder.snapshot)
        self.reconciler = Reconciler(
            self.objects,
            self.admission,
            self.builder,
            self.publisher,
            gone=self._forget,
        )
        self.refusals = Refusals(self.objects, self.publisher)
        callbacks = ConnectionCallbacks(
            connect=self.publisher.connect,
            disconnect=self.publisher.disconnect,
            demand=self.publisher.demand,
            state=self.refusals.note,
        )
        self.connections = Connections(trust_domain=mesh.trust_domain, registered=self._registered, callbacks=callbacks)
        self.machines = Machines(
            self.objects,
            authority,
            mesh_range=mesh.address_range,
            reached=self.reconciler.reached,
            held=self._held,
            leaf_life=leaf_life,
        )
        self.access = Access(
            self.objects,
            self.machines,
            owner_token=state.owner_token(),
            fingerprints=lambda: authority.fingerprints,
        )
        self.certificates = ServerCertificates(authority, state.control)
        self.why = Why(self.publisher, self.builder.located)

    def gauges(self) -> Mapping[str, float]:
        """What the control process spends, for Prometheus."""
        return {"build_seconds": self.reconciler.build_seconds, **self.machines.rotations.gauges()}

    async def _held(self, revision: int) -> None:
        """Wait until the proxies that were sent something for that revision hold it, or time is up."""
        await self.connections.settled(self.publisher.sent_since(revision), HELD_WITHIN)

    def _forget(self, proxy: str) -> None:
        self.connections.forget(proxy)

    def _send(self, proxy: str, resources: ResourceSet, demand: frozenset[str]) -> None:
        self.connections.publish(proxy, resources, demand=demand)

    def _registered(self, proxy: str, node: str) -> bool:
        namespace, _, name = proxy.partition("/")
        workload = self.publisher.snapshot.workloads.get(ObjectName(namespace=namespace, name=name))
        return workload is not None and workload.node == node


async def serve(settings: ControlSettings) -> None:
    """Run until cancelled."""
    state = StateDirectory(settings.state_dir.absolute())
    state.prepare()
    mesh = settled_mesh(state, settings)
    given = (settings.ca_cert, settings.ca_key) if settings.ca_cert and settings.ca_key else None
    authority = open_authority(state.authority, mesh.trust_domain, given=given)
    store = SqliteStore.open(state.database)
    control = Control(state, store, authority, mesh, leaf_life=settings.leaf_ttl)
    await seed(store, control.admission.finish, strict=not settings.permissive)
    await control.reconciler.start()
    outside = listen_address(settings.listen)
    control.certificates.issue([outside[0]] if outside else [])
    grpc_servers = await _serve_ads(control, outside)
    try:
        await _serve_api(control, outside)
    finally:
        for server in grpc_servers:
            await server.close(0.2)
        await store.close()


async def _serve_ads(control: Control, outside: tuple[str, int] | None) -> list[GrpcServer]:
    """Start ADS on loopback and on the address given; its port is remembered."""
    identity = control.certificates
    credentials = server_credentials(
        lambda: TlsIdentity(chain=identity.current.chain, key=identity.current.key, roots=control.authority.bundle)
    )
    handlers = [control.connections.service.handler(), node_handler(control.machines, control.mesh.trust_domain)]
    local = GrpcServer(handlers)
    remembered = outside[1] + 1 if outside and outside[1] else control.state.remembered_port("ads")
    try:
        port = await local.listen(f"{LOOPBACK}:{remembered}", credentials)
    except RefusedError:
        if not remembered or (outside and outside[1]):
            raise
        port = await local.listen(f"{LOOPBACK}:0", credentials)
    control.state.remember_port("ads", port)
    control.access.ads_port = port
    servers = [local]
    if outside and outside[0] not in (LOOPBACK, "localhost"):
        server = GrpcServer(handlers)
        await server.listen(f"{outside[0]}:{port}", credentials)
        servers.append(server)
    return servers


async def _serve_api(control: Control, outside: tuple[str, int] | None) -> None:
    """Serve the API until the process is told to stop."""
    views = Views(
        control.publisher,
        control.connections,
        control.machines,
        control.objects,
        trust_domain=control.mesh.trust_domain,
    )
    app = create_app(_backend(control, views))
    add_extensions(
        app, control.reconciler, control.connections, control.publisher, bundle=lambda: control.authority.bundle
    )
    add_ca_routes(app, control.authority, control.machines.rotations)
    server = ApiServer(app)
    server.add_unix(control.state.api_socket)
    host, port = _listen(control, server, outside)
    collector = MeshCollector(control.machines.edges.samples, lambda: {**views.gauges(), **control.gauges()})
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


def _backend(control: Control, views: Views) -> Backend:
    """What the API asks of this process."""
    return Backend(
        store=control.store,
        authenticate=control.access.authenticate,
        admission=control.admission.admit,
        workloads=views.workloads,
        proxies=views.proxies,
        proxy_config=views.proxy_config,
        why=control.why.answer,
        edges=views.edges,
        status=views.status,
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
