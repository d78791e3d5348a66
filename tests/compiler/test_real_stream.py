"""Demand and change with a real Envoy on a delta stream: what is fetched when, and what a change leaves alone."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from plait.compiler.clusters import direct
from plait.compiler.compile import compile_view
from plait.compiler.endpoints import cluster_endpoints
from plait.compiler.scopes import scope_entries, scope_entry
from plait.envoy import names, types
from plait.envoy.resource_set import ResourceSet, entry_of
from plait.model.services import Protocol
from plait.model.view import ScopeKey, View
from tests import builders as b
from tests.compiler import loopback, streamed
from tests.envoy import live

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]

HTTP, STREAM, WORKLOAD = "127.240.0.1", "127.240.0.2", "127.241.0.9"


@pytest.fixture(scope="module")
def app() -> Iterator[live.App]:
    """The app behind every cluster."""
    with live.apps("app") as started:
        yield started["app"]


def _resources(view: View, app: live.App) -> ResourceSet:
    found = {cluster.key.service.name: b.endpoint("127.0.0.1", app.port) for cluster in view.clusters}
    return loopback.client(view, found)


def _view(port: int, *more: b.Part) -> View:
    view = b.view("client", b.frontend("web", port, address=HTTP), b.cluster("web", port, secure=False), *more)
    return replace(view, outbound_port=port)


def test_routes_are_fetched_with_the_first_request(app: live.App) -> None:
    """A scope pushed ahead costs no routes; the first request waits for them, and no request is lost."""

    async def run() -> None:
        port = live.free_port()
        full = _resources(_view(port), app)
        ahead = scope_entries([ScopeKey(key=f"{HTTP}:{port}", host=b.host("web"), port=port)])
        without = full.replaced(types.SCOPE, ahead).replaced(types.ROUTE, {})
        async with streamed.streamed(without) as control:
            route = names.route(b.host("web"), port)
            assert route not in control.asked.get(types.ROUTE, set())
            requests = asyncio.gather(*(streamed.get((HTTP, port)) for _ in range(5)))
            await control.asked_for(types.ROUTE, route)
            await control.publish(without.replaced(types.ROUTE, full.of(types.ROUTE)))
            assert [answer.app for answer in await requests] == ["app"] * 5
            assert (await streamed.get(("127.240.9.9", port))).status == 404

    asyncio.run(run())


def test_one_route_configuration_serves_several_scopes(app: live.App) -> None:
    """Two addresses may lead to the same routes, fetched once."""

    async def run() -> None:
        port = live.free_port()
        full = _resources(_view(port), app)
        keys = [ScopeKey(key=f"{address}:{port}", host=b.host("web"), port=port) for address in (HTTP, STREAM)]
        scopes = {names.scope(key.key): scope_entry(key, on_demand=key is keys[0]) for key in keys}
        async with streamed.streamed(full.replaced(types.SCOPE, scopes)) as control:
            answers = [await streamed.get((address, port)) for address in (HTTP, STREAM)]
            assert [answer.app for answer in answers] == ["app", "app"]
            await control.publish(
                full.replaced(types.SCOPE, {names.scope(keys[1].key): scopes[names.scope(keys[1].key)]})
            )
            answers = [await streamed.get((address, port)) for address in (HTTP, STREAM)]
            assert [answer.status for answer in answers] == [404, 200]

    asyncio.run(run())


def test_an_added_stream_leaves_other_connections_alone(app: live.App) -> None:
    """A TCP service on the port number of an HTTP one adds a chain; open HTTP connections outlive the drain time."""

    async def run() -> None:
        port = live.free_port()
        banner = live.App("db", banner=b"hello")
        before = _view(port)
        db = b.frontend("db", port, address=STREAM, protocol=Protocol.TCP)
        after = _view(port, db, b.cluster("db", port, protocol=Protocol.TCP, secure=False))
        held = _resources(after, app)
        db_name = names.cluster(b.host("db"), port)
        db_endpoints = cluster_endpoints(db_name, [b.endpoint("127.0.0.1", banner.port)], node="")
        held = held.replaced(types.ENDPOINT, {**held.of(types.ENDPOINT), db_name: db_endpoints})
        async with streamed.streamed(_resources(before, app)) as control:
            reader, writer = await asyncio.open_connection(HTTP, port)
            await _ask(reader, writer)
            await control.publish(held)
            stream, other = await asyncio.open_connection(STREAM, port)
            started = asyncio.get_running_loop().time()
            assert await stream.readexactly(5) == b"hello"
            assert asyncio.get_running_loop().time() - started < 0.25
            await asyncio.sleep(2)
            await _ask(reader, writer)
            writer.close()
            other.close()
            await writer.wait_closed()
            await other.wait_closed()
            banner.close()

    asyncio.run(run())


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"GET / HTTP/1.1\r\nHost: web\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    length = int(
        next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")).split(b":")[1]
    )
    assert b"connection: close" not in head.lower()
    await reader.readexactly(length)


def test_a_workload_is_asked_for_by_its_address(app: live.App) -> None:
    """A connection to a workload's own address waits for its cluster, `direct/ADDRESS:PORT`, and then reaches it."""

    async def run() -> None:
        port = live.free_port()
        view = replace(_view(port), workload_addresses=("127.241.0.0/16",))
        full = _resources(view, app)
        name = names.direct_cluster(WORKLOAD, port)
        cluster = entry_of(name, direct(replace(b.direct(WORKLOAD, port), reached=("127.0.0.1", app.port))))
        async with streamed.streamed(full) as control:
            first = asyncio.ensure_future(streamed.get((WORKLOAD, port)))
            await control.asked_for(types.CLUSTER, name)
            await control.publish(full.replaced(types.CLUSTER, {**full.of(types.CLUSTER), name: cluster}))
            answer = await first
            assert (answer.app, answer.seen_header("x-forwarded-proto")) == ("app", [])

    asyncio.run(run())


def test_the_whole_compiled_view_is_taken(app: live.App) -> None:
    """Everything that a view compiles to, inbound and secrets included, is acknowledged over the stream."""

    async def run() -> None:
        port = live.free_port()
        view = _view(port, b.inbound(8080), b.inbound(5432, protocol=Protocol.TCP))
        compiled = compile_view(loopback.on_loopback(view))
        listeners = {name: item for name, item in compiled.of(types.LISTENER).items() if name != names.INBOUND_LISTENER}
        client = _resources(view, app).replaced(types.LISTENER, listeners)
        secrets = streamed.secret_entries(str(view.identity))
        async with streamed.streamed(client.replaced(types.SECRET, secrets)) as control:
            assert names.OUTBOUND_LISTENER in await streamed.admin(control, "/listeners")
            assert (await streamed.get((HTTP, port))).app == "app"

    asyncio.run(run())


def test_a_demanded_service_answers_at_once(app: live.App) -> None:
    """Right after Envoy acknowledged a demanded service, which is when DNS answers, the first request is served."""

    async def run() -> None:
        port = live.free_port()
        keys = [ScopeKey(key=f"127.240.1.{index}:{port}", host=b.host(f"s{index}"), port=port) for index in range(12)]
        ahead = scope_entries(keys)

        def held(count: int) -> ResourceSet:
            frontends = [b.frontend(f"s{index}", port, address=f"127.240.1.{index}") for index in range(count)]
            clusters = [b.cluster(f"s{index}", port, secure=False) for index in range(count)]
            made = _resources(replace(b.view("client", *frontends, *clusters), outbound_port=port), app)
            return made.replaced(types.SCOPE, {**ahead, **made.of(types.SCOPE)})

        async with streamed.streamed(held(1)) as control:
            for count in range(2, len(keys)):
                await control.publish(held(count))
                assert (await streamed.get((f"127.240.1.{count - 1}", port))).status == 200

    asyncio.run(run())
