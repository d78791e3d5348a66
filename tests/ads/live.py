"""A control plane, a relay and a real Envoy, joined by real sockets: mutual TLS above, a unix socket below.

The configuration is as small as it can be and still have every type: a listener with scoped routes (the header
`x-key` chooses), a listener with one route configuration, and a listener that terminates TLS with `identity`.
"""

import asyncio
import importlib
import json
import socket
import ssl
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2, scoped_route_pb2
from google.protobuf import json_format
from google.protobuf.message import Message

from plait.ads.client import Relay
from plait.ads.connections import ConnectionCallbacks, Connections, ProxyState
from plait.ads.secrets import identity_secrets
from plait.ads.transport import Channels, GrpcServer, TlsIdentity, server_credentials
from plait.envoy.bootstrap import arguments, bootstrap
from plait.envoy.resource_set import Entry, ResourceSet, entry, entry_of, resource_set
from plait.envoy.types import CLUSTER, ENDPOINT, LISTENER, NAME, ROUTE, SCOPE
from plait.identity import spiffe
from plait.identity.authority import CertificateAuthority, open_authority
from plait.identity.svid import new_key, signing_request

TYPE = "type.googleapis.com/envoy.extensions"
for module in (  # what json_format must know to pack a message into Any
    "filters.http.on_demand.v3.on_demand_pb2",
    "filters.http.router.v3.router_pb2",
    "filters.network.http_connection_manager.v3.http_connection_manager_pb2",
    "transport_sockets.tls.v3.tls_pb2",
):
    importlib.import_module(f"envoy.extensions.{module}")

ADS: dict[str, object] = {"ads": dict[str, str](), "resource_api_version": "V3"}
PROXY = "default/web"
NODE = "machine-1"
DOMAIN = "cluster.local"

Resource = tuple[str, Entry]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def built(type_url: str, message: Message, body: Mapping[str, object]) -> Resource:
    json_format.ParseDict(dict(body), message)
    name = str(body.get("name") or body["cluster_name"])
    return type_url, entry_of(name, message)


def cluster(name: str, *, timeout: str = "1s") -> Resource:
    body = {"name": name, "type": "EDS", "connect_timeout": timeout, "eds_cluster_config": {"eds_config": ADS}}
    return built(CLUSTER, cluster_pb2.Cluster(), body)


def bad_cluster(name: str) -> Resource:
    """A cluster that Envoy takes apart and refuses: EDS without a source for its endpoints."""
    return built(CLUSTER, cluster_pb2.Cluster(), {"name": name, "type": "EDS", "connect_timeout": "1s"})


def endpoints(name: str, *ports: int) -> Resource:
    places = [{"endpoint": {"address": address(port)}} for port in ports]
    body = {"cluster_name": name, "endpoints": [{"lb_endpoints": places}]}
    return built(ENDPOINT, endpoint_pb2.ClusterLoadAssignment(), body)


def route(name: str, to: str, *, status: int = 0) -> Resource:
    action = {"direct_response": {"status": status}} if status else {"route": {"cluster": to}}
    hosts = [{"name": "v", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, **action}]}]
    body = {"name": name, "virtual_hosts": hosts, "validate_clusters": False}
    return built(ROUTE, route_pb2.RouteConfiguration(), body)


def scope(key: str, to: str, *, on_demand: bool = False) -> Resource:
    fragments = {"fragments": [{"string_key": key}]}
    body = {"name": f"scope/{key}", "on_demand": on_demand, "route_configuration_name": to, "key": fragments}
    return built(SCOPE, scoped_route_pb2.ScopedRouteConfiguration(), body)


def host_name(host: str, address: str = "240.240.0.1") -> Resource:
    answer = {"host": host, "addresses": [address], "ports": [80], "headless": False}
    return NAME, entry(host, NAME, json.dumps(answer).encode())


def address(port: int) -> Mapping[str, object]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def manager(**routes: object) -> Mapping[str, object]:
    return {
        "name": "hcm",
        "typed_config": {
            "@type": f"{TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "test",
            "stream_idle_timeout": "5s",
            "http_filters": [
                {
                    "name": "envoy.filters.http.on_demand",
                    "typed_config": {"@type": f"{TYPE}.filters.http.on_demand.v3.OnDemand"},
                },
                {"name": "router", "typed_config": {"@type": f"{TYPE}.filters.http.router.v3.Router"}},
            ],
            **routes,
        },
    }


def listener(name: str, port: int, chain: Mapping[str, object]) -> Resource:
    body = {"name": name, "address": address(port), "filter_chains": [chain]}
    return built(LISTENER, listener_pb2.Listener(), body)


def scoped_listener(port: int) -> Resource:
    routes = {
        "name": "scopes",
        "scope_key_builder": {"fragments": [{"header_value_extractor": {"name": "x-key", "index": 0}}]},
        "rds_config_source": ADS,
        "scoped_rds": {"scoped_rds_config_source": ADS},
    }
    return listener("outbound", port, {"filters": [manager(scoped_routes=routes)]})


def routed_listener(name: str, port: int, route_name: str, *, tls: bool = False) -> Resource:
    filters = [manager(rds={"route_config_name": route_name, "config_source": ADS})]
    secret = {"name": "identity", "sds_config": ADS}
    context = {
        "@type": f"{TYPE}.transport_sockets.tls.v3.DownstreamTlsContext",
        "common_tls_context": {"tls_certificate_sds_secret_configs": [secret]},
    }
    socket_of = {"transport_socket": {"name": "tls", "typed_config": context}} if tls else {}
    return listener(name, port, {"filters": filters, **socket_of})


def listener_on(port: int, name: str) -> Resource:
    """A listener on a port of its own choice."""
    return routed_listener(name, port, "inbound/1")


def resources(*items: Resource) -> ResourceSet:
    return resource_set(items)


@dataclass(kw_only=True)
class Control:
    """A control plane that publishes one set to the proxy, or one made for its demand, and notes what happens."""

    authority: CertificateAuthority
    wanted: ResourceSet = field(default_factory=ResourceSet)
    events: list[tuple[str, object]] = field(default_factory=list[tuple[str, object]])
    port: int = 0
    credentials_made: int = 0
    wanted_for: Callable[[frozenset[str]], ResourceSet] | None = None

    def __post_init__(self) -> None:
        callbacks = ConnectionCallbacks(connect=self._connected, disconnect=self._disconnected, demand=self._demanded)
        self.connections = Connections(
            trust_domain=DOMAIN, registered=lambda proxy, node: (proxy, node) == (PROXY, NODE), callbacks=callbacks
        )

    def _connected(self, proxy: str, node: str) -> None:
        self.events.append(("connect", (proxy, node)))
        self.publish(self.wanted)

    def _disconnected(self, proxy: str) -> None:
        self.events.append(("disconnect", proxy))

    def _demanded(self, _proxy: str, hosts: frozenset[str]) -> None:
        self.events.append(("demand", hosts))
        if self.wanted_for is not None:
            self.wanted = self.wanted_for(hosts)
        self.publish(self.wanted)

    def publish(self, wanted: ResourceSet) -> None:
        self.wanted = wanted
        self.connections.publish(PROXY, wanted, demand=self.connections.demand(PROXY))

    def tls(self) -> TlsIdentity:
        self.credentials_made += 1
        mine = self.authority.server_credentials(addresses=["127.0.0.1"])
        return TlsIdentity(chain=mine.chain, key=mine.key, roots=self.authority.bundle)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator["Control", None]:
        self._server = GrpcServer([self.connections.service.handler()])
        self.port = await self._server.listen(f"127.0.0.1:{self.port}", server_credentials(self.tls))
        try:
            yield self
        finally:
            await self.close()

    async def close(self) -> None:
        await self._server.close()

    async def settled(self, limit: float = 10.0) -> None:
        assert await self.connections.settled([PROXY], limit) == frozenset(), self.connections.states()

    @property
    def state(self) -> ProxyState:
        state = self.connections.state(PROXY)
        assert state is not None
        return state


def node_identity(authority: CertificateAuthority, node: str = NODE) -> TlsIdentity:
    key = new_key()
    chain = authority.sign(signing_request(key), spiffe.node_id(DOMAIN, node))
    return TlsIdentity(chain=chain, key=key, roots=authority.bundle)


@dataclass(kw_only=True)
class Machine:
    """A machine: its relay and the Envoy of one workload."""

    directory: Path
    authority: CertificateAuthority
    port: int
    identity: TlsIdentity | None = None

    def __post_init__(self) -> None:
        self.identity = self.identity or node_identity(self.authority)
        self.relay = self.new_relay()
        self.envoy: asyncio.subprocess.Process | None = None

    def new_relay(self) -> Relay:
        channels = Channels(f"127.0.0.1:{self.port}", lambda: self.identity)
        relay = Relay(directory=self.directory / "relay", channels=channels)
        relay.add(PROXY)
        key = new_key()
        chain = self.authority.sign(signing_request(key), spiffe.workload_id(DOMAIN, "default", "web"))
        relay.set_secrets(PROXY, identity_secrets(chain, key, self.authority.bundle))
        return relay

    @property
    def ads_socket(self) -> Path:
        return self.directory / "ads.sock"

    @asynccontextmanager
    async def relaying(self) -> AsyncGenerator["Machine", None]:
        bound = asyncio.Event()
        task = asyncio.ensure_future(self.relay.serve(f"unix:{self.ads_socket}", ready=bound.set))
        await asyncio.wait([task, asyncio.ensure_future(bound.wait())], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def start_envoy(self) -> None:
        config = self.directory / "envoy.json"
        admin = str(self.directory / "admin.sock")
        config.write_text(json.dumps(bootstrap(PROXY, ads_socket=str(self.ads_socket), admin_socket=admin)))
        with (self.directory / "envoy.log").open("ab") as log:
            self.envoy = await asyncio.create_subprocess_exec(
                str(Path(sys.executable).parent / "envoy"), *arguments(str(config)), stdout=log, stderr=log
            )

    async def stop_envoy(self) -> None:
        if self.envoy is not None and self.envoy.returncode is None:
            self.envoy.kill()
            await self.envoy.wait()
            self.relay.detach(PROXY)
        self.envoy = None

    async def ready(self) -> None:
        """Wait until Envoy holds its configuration and its listeners are open."""
        await self.relay.warm(PROXY, 20)
        async with asyncio.timeout(5):
            while True:
                if "LIVE" in await self.admin("ready"):
                    return
                await asyncio.sleep(0.01)

    async def config_dump(self) -> str:
        return await self.admin("config_dump?include_eds")

    async def admin(self, path: str) -> str:
        transport = httpx.AsyncHTTPTransport(uds=str(self.directory / "admin.sock"))
        async with httpx.AsyncClient(transport=transport) as client:
            return (await client.get(f"http://admin/{path}")).text


@dataclass
class Load:
    """Answers by status and text."""

    answers: Counter[tuple[int, str]] = field(default_factory=Counter[tuple[int, str]])

    async def repeat(self, call: Callable[[], Awaitable[tuple[int, str]]]) -> None:
        while True:
            try:
                self.answers[await call()] += 1
            except httpx.HTTPError as error:
                self.answers[0, repr(error)] += 1
            await asyncio.sleep(0.002)

    @property
    def lost(self) -> dict[tuple[int, str], int]:
        return {answer: count for answer, count in self.answers.items() if answer[0] != 200}


@dataclass(kw_only=True)
class Caller:
    """A client of the Envoy's listeners that keeps its connections."""

    scoped: int = field(default_factory=free_port)
    plain: int = field(default_factory=free_port)
    tls: int = field(default_factory=free_port)

    async def scoped_call(self, client: httpx.AsyncClient, key: str) -> tuple[int, str]:
        answer = await client.get(f"http://127.0.0.1:{self.scoped}/", headers={"x-key": key}, timeout=8)
        return answer.status_code, answer.text

    async def plain_call(self, client: httpx.AsyncClient) -> tuple[int, str]:
        answer = await client.get(f"http://127.0.0.1:{self.plain}/", timeout=8)
        return answer.status_code, answer.text

    def presented_certificate(self, bundle: bytes) -> str:
        """The issuer-verified peer's SPIFFE ID on the TLS listener."""
        context = ssl.create_default_context(cadata=bundle.decode())
        context.check_hostname = False
        with (
            socket.create_connection(("127.0.0.1", self.tls), timeout=5) as plain,
            context.wrap_socket(plain) as wrapped,
        ):
            peer = wrapped.getpeercert() or {}
        names: Iterable[tuple[str, str]] = peer.get("subjectAltName", ())  # pyright: ignore
        return next(value for kind, value in names if kind == "URI")

    @asynccontextmanager
    async def load(self) -> AsyncGenerator["Load", None]:
        """Calls without pause on both listeners while the block runs; what came back is counted."""
        load = Load()
        async with httpx.AsyncClient(trust_env=False) as client, asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(load.repeat(lambda: self.plain_call(client))),
                group.create_task(load.repeat(lambda: self.scoped_call(client, "a"))),
            ]
            try:
                yield load
            finally:
                for task in tasks:
                    task.cancel()

    def listeners(self) -> tuple[Resource, ...]:
        return (
            scoped_listener(self.scoped),
            routed_listener("plain", self.plain, "inbound/1"),
            routed_listener("tls", self.tls, "inbound/1", tls=True),
        )


@asynccontextmanager
async def backend(text: str) -> AsyncGenerator[int, None]:
    """An app that answers with its text; the port it listens on."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                body = text.encode()
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def authority(directory: Path) -> CertificateAuthority:
    return open_authority(directory / "ca", DOMAIN)
