"""Control, relay and a real Envoy over real sockets."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from plait.ads.last_good import encode
from plait.ads.secrets import identity_secrets
from plait.envoy.types import LISTENER
from plait.errors import DeadlineError
from plait.identity import spiffe
from plait.identity.svid import new_key, signing_request
from tests.ads.live import (
    DOMAIN,
    PROXY,
    Caller,
    Control,
    Machine,
    Resource,
    authority,
    backend,
    bad_cluster,
    cluster,
    endpoints,
    free_port,
    host_name,
    listener_on,
    resources,
    route,
    scope,
)

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]


@dataclass(kw_only=True)
class Mesh:
    """Everything a test touches."""

    control: Control
    machine: Machine
    caller: Caller
    client: httpx.AsyncClient
    app: int
    other: int

    def base(self, *more: Resource) -> tuple[Resource, ...]:
        return (
            cluster("app"),
            endpoints("app", self.app),
            *self.caller.listeners(),
            route("inbound/1", "app"),
            scope("a", "a.example:80"),
            route("a.example:80", "app"),
            *more,
        )

    async def publish(self, *items: Resource) -> None:
        self.control.publish(resources(*items))
        await self.control.settled()


@asynccontextmanager
async def mesh(directory: Path) -> AsyncGenerator[Mesh, None]:
    """A mesh whose Envoy is warm with the base configuration."""
    ca = authority(directory)
    async with AsyncExitStack() as stack:
        app = await stack.enter_async_context(backend("app"))
        other = await stack.enter_async_context(backend("other"))
        client = await stack.enter_async_context(httpx.AsyncClient(trust_env=False))
        control = Control(authority=ca)
        caller = Caller()
        await stack.enter_async_context(control.running())
        machine = Machine(directory=directory, authority=ca, port=control.port)
        made = Mesh(control=control, machine=machine, caller=caller, client=client, app=app, other=other)
        control.wanted = resources(*made.base())
        await stack.enter_async_context(machine.relaying())
        await machine.start_envoy()
        stack.push_async_callback(machine.stop_envoy)
        await machine.ready()
        await control.settled()
        yield made


async def until(holds: Callable[[], bool], limit: float = 5.0) -> None:
    """Look again and again until it holds; looking may block, so it is done in a thread."""
    async with asyncio.timeout(limit):
        while True:
            if await asyncio.to_thread(holds):
                return
            await asyncio.sleep(0.01)


def run(directory: Path, test: Callable[[Mesh], Awaitable[None]]) -> None:
    async def main() -> None:
        async with mesh(directory) as made:
            await test(made)

    asyncio.run(main())


def test_every_type_flows_from_control_to_envoy(tmp_path: Path) -> None:
    """Clusters, endpoints, listeners, routes, scopes and secrets arrive; a route's change changes the traffic."""

    async def test(made: Mesh) -> None:
        caller, client = made.caller, made.client
        assert await caller.plain_call(client) == (200, "app")
        assert await caller.scoped_call(client, "a") == (200, "app")
        assert (await caller.scoped_call(client, "unknown"))[0] == 404
        bundle = made.machine.authority.bundle
        presented = await asyncio.to_thread(caller.presented_certificate, bundle)
        assert presented == "spiffe://cluster.local/ns/default/sa/web"

        moved = (cluster("other"), endpoints("other", made.other), route("a.example:80", "other"))
        await made.publish(*made.base(*moved))
        assert await caller.scoped_call(client, "a") == (200, "other")
        await made.publish(*made.base())
        assert await caller.scoped_call(client, "a") == (200, "app")
        assert '"other"' not in await made.machine.config_dump()

    run(tmp_path, test)


def test_changes_under_load_lose_nothing(tmp_path: Path) -> None:
    """Routes move between clusters that come and go, clusters and endpoints change; every call is answered."""

    async def test(made: Mesh) -> None:
        async with made.caller.load() as load:
            for number in range(6):
                moved = (
                    cluster(f"other-{number}"),
                    endpoints(f"other-{number}", made.other),
                    route("a.example:80", f"other-{number}"),
                    cluster("app", timeout=f"{number + 2}s"),
                    endpoints("app", made.app if number % 2 else made.other),
                )
                before = asyncio.get_running_loop().time()
                await made.publish(*made.base(*moved))
                assert asyncio.get_running_loop().time() - before < 2, "a changed cluster waits for its endpoints"
                await asyncio.sleep(0.1)
        assert load.lost == {}
        assert load.answers[200, "other"] > 10

    run(tmp_path, test)


def held_for(made: Mesh, host: str) -> tuple[Resource, ...]:
    """What a proxy holds for a host that it asked for."""
    return (
        cluster(f"{host}:80"),
        endpoints(f"{host}:80", made.other),
        route(f"{host}:80", f"{host}:80"),
        scope(host, f"{host}:80"),
        host_name(host),
    )


def test_a_name_arrives_only_when_envoy_can_serve_its_host(tmp_path: Path) -> None:
    """The first request right after the answer succeeds, for host after host; an unknown host is told as absent."""

    async def test(made: Mesh) -> None:
        hosts = {f"h{number}.example" for number in range(20)}
        made.control.wanted_for = lambda asked: resources(
            *made.base(*(item for host in asked & hosts for item in held_for(made, host)))
        )
        for host in sorted(hosts):
            record = await made.machine.relay.demand(PROXY, host, 5)
            assert record is not None
            assert record.addresses == ("240.240.0.1",)
            assert await made.caller.scoped_call(made.client, host) == (200, "other")
        assert await made.machine.relay.demand(PROXY, "nowhere.example", 5) is None
        assert made.control.state.demand == hosts | {"nowhere.example", "a.example"}
        assert made.machine.relay.hosts(PROXY) == hosts

    run(tmp_path, test)


def test_demand_under_load_shows_no_gap(tmp_path: Path) -> None:
    """While scopes turn from on-demand to held, calls to them wait or succeed, and none gets 404."""

    async def test(made: Mesh) -> None:
        hosts = {f"h{number}.example" for number in range(30)}
        made.control.wanted_for = lambda asked: resources(
            *made.base(
                *(scope(host, f"{host}:80", on_demand=True) for host in hosts),
                *(item for host in asked & hosts for item in held_for(made, host)),
            )
        )
        await made.publish(*made.control.wanted_for(frozenset()))
        answers: list[tuple[int, str]] = []
        for host in sorted(hosts):
            calls = [asyncio.ensure_future(made.caller.scoped_call(made.client, host)) for _ in range(3)]
            await made.machine.relay.demand(PROXY, host, 5)
            calls += [asyncio.ensure_future(made.caller.scoped_call(made.client, host)) for _ in range(3)]
            answers += await asyncio.gather(*calls)
        assert set(answers) == {(200, "other")}

    run(tmp_path, test)


def test_a_first_request_asks_for_its_host_and_is_held_meanwhile(tmp_path: Path) -> None:
    """An address without demand: Envoy asks for its route, the relay for its host, and the call succeeds."""

    async def test(made: Mesh) -> None:
        await made.publish(*made.base(scope("late", "late.example:80", on_demand=True)))
        call = asyncio.ensure_future(made.caller.scoped_call(made.client, "late"))
        await until(lambda: "late.example" in made.control.state.demand)
        assert not call.done()
        late = (cluster("late"), endpoints("late", made.other), route("late.example:80", "late"))
        keys = (scope("late", "late.example:80", on_demand=True), host_name("late.example"))
        made.control.publish(resources(*made.base(*late, *keys)))
        assert await call == (200, "other")

    run(tmp_path, test)


def test_trap_35_a_refusal_arrives_at_control_and_the_last_good_stays_in_force(tmp_path: Path) -> None:
    """Envoy's own words for the one resource at fault; everything else of the same push is in force."""

    async def test(made: Mesh) -> None:
        taken = made.base(listener_on(made.caller.plain, "taken"), route("a.example:80", "app", status=299))
        await made.publish(*taken)
        refused = made.control.state.refused
        assert [(item.type_url, item.name) for item in refused] == [(LISTENER, "taken")]
        assert "taken" in refused[0].message
        assert made.machine.relay.states()[0].refused[0][:2] == (LISTENER, "taken")
        assert await made.caller.scoped_call(made.client, "a") == (299, "")
        assert await made.caller.plain_call(made.client) == (200, "app")

        await made.publish(*made.base(bad_cluster("app"), cluster("fine"), endpoints("fine", made.other)))
        assert {item.name for item in made.control.state.refused} == {"app"}
        assert '"fine"' in await made.machine.config_dump()
        assert await made.caller.plain_call(made.client) == (200, "app")
        await made.machine.stop_envoy()
        await made.machine.start_envoy()
        await made.machine.ready()
        assert await made.caller.plain_call(made.client) == (200, "app")

        await made.publish(*made.base())
        assert made.control.state.refused == ()

    run(tmp_path, test)


def test_envoy_and_relay_restart_while_control_is_away(tmp_path: Path) -> None:
    """A new Envoy, then a new relay and a new Envoy, serve the last good configuration from memory, then from disk."""

    async def main() -> None:
        ca = authority(tmp_path)
        caller, control = Caller(), Control(authority=ca)
        async with backend("app") as app, httpx.AsyncClient(trust_env=False) as client:
            wanted = (cluster("app"), endpoints("app", app), *caller.listeners(), route("inbound/1", "app"))
            control.wanted = resources(*wanted, host_name("known.example"))
            async with control.running():
                machine = Machine(directory=tmp_path, authority=ca, port=control.port)
                async with machine.relaying():
                    await machine.start_envoy()
                    await machine.ready()
                    await machine.relay.demand(PROXY, "known.example", 5)
                    await control.settled()
                    await machine.stop_envoy()
            async with machine.relaying():
                await machine.start_envoy()
                await machine.ready()
                assert await caller.plain_call(client) == (200, "app")
                await machine.stop_envoy()
            machine.relay = machine.new_relay()
            async with machine.relaying():
                await machine.start_envoy()
                await machine.ready()
                assert await caller.plain_call(client) == (200, "app")
                assert await machine.relay.demand(PROXY, "known.example", 1) is not None
                with pytest.raises(DeadlineError, match="control cannot be reached"):
                    await machine.relay.demand(PROXY, "unknown.example", 0.2)
                await machine.stop_envoy()

    asyncio.run(main())


def test_a_relay_restarts_under_a_running_envoy(tmp_path: Path) -> None:
    """The node agent's end and return, with control and then without, lose no call and change nothing in Envoy."""

    async def main() -> None:
        ca = authority(tmp_path)
        caller, control = Caller(), Control(authority=ca)
        async with backend("app") as app:
            control.wanted = resources(
                cluster("app"),
                endpoints("app", app),
                *caller.listeners(),
                route("inbound/1", "app"),
                scope("a", "a.example:80"),
                route("a.example:80", "app"),
            )
            async with control.running():
                machine = Machine(directory=tmp_path, authority=ca, port=control.port)
                async with machine.relaying():
                    await machine.start_envoy()
                    await machine.ready()
                    await control.settled()
                async with caller.load() as load:
                    machine.relay = machine.new_relay()
                    async with machine.relaying():
                        await machine.relay.warm(PROXY, 20)
                        await control.settled()
                        assert control.state.sent == 0
                    machine.relay = machine.new_relay()
                    await control.close()
                    async with machine.relaying():
                        await machine.relay.warm(PROXY, 20)
                        await asyncio.sleep(0.2)
                assert load.lost == {}
                assert load.answers[200, "app"] > 10
                await machine.stop_envoy()

    asyncio.run(main())


def test_killing_control_loses_nothing_and_sends_nothing_again(tmp_path: Path) -> None:
    """kill -9 under load: no call is lost; a new process sends only what changed, and takes away what vanished."""

    async def main() -> None:
        ca = authority(tmp_path)
        caller, port = Caller(), free_port()
        async with backend("app") as app, backend("other") as other:
            wanted = (
                cluster("app"),
                endpoints("app", app),
                *caller.listeners(),
                route("inbound/1", "app"),
                scope("a", "a.example:80"),
                route("a.example:80", "app"),
                cluster("old"),
                endpoints("old", app),
            )
            (tmp_path / "wanted.xds").write_bytes(encode(resources(*wanted)))
            machine = Machine(directory=tmp_path, authority=ca, port=port)
            first = await ControlProcess.start(tmp_path, port)
            async with machine.relaying():
                await machine.start_envoy()
                await machine.ready()
                assert (await first.state(synced=True))["sent"] == len(wanted)
                async with caller.load() as load:
                    await first.kill()
                    await asyncio.sleep(0.5)
                    second = await ControlProcess.start(tmp_path, port)
                    assert (await second.state(synced=True))["sent"] == 0
                    await second.kill()
                    changed = (*wanted[:-2], route("a.example:80", "new"), cluster("new"), endpoints("new", other))
                    (tmp_path / "wanted.xds").write_bytes(encode(resources(*changed)))
                    third = await ControlProcess.start(tmp_path, port)
                    assert (await third.state(synced=True))["sent"] == 3
                    await asyncio.sleep(0.2)
                    await third.kill()
                assert load.lost == {}
                assert load.answers[200, "other"] > 0
                assert '"old"' not in await machine.config_dump()
                await machine.stop_envoy()

    asyncio.run(main())


def test_a_renewed_workload_certificate_is_presented_at_once(tmp_path: Path) -> None:
    """New secrets reach Envoy without control."""

    async def test(made: Mesh) -> None:
        key = new_key()
        ca = made.machine.authority
        chain = ca.sign(signing_request(key), spiffe.workload_id(DOMAIN, "default", "renewed"))
        made.machine.relay.set_secrets(PROXY, identity_secrets(chain, key, ca.bundle))
        await until(lambda: "renewed" in made.caller.presented_certificate(ca.bundle))

    run(tmp_path, test)


class ControlProcess:
    """A control plane that can be killed."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, directory: Path, port: int) -> "ControlProcess":
        arguments = (sys.executable, "-m", "tests.ads.control_process", str(directory), str(port))
        return cls(await asyncio.create_subprocess_exec(*arguments, stdout=asyncio.subprocess.PIPE))

    async def state(self, *, synced: bool) -> dict[str, Any]:
        assert self._process.stdout is not None
        async with asyncio.timeout(20):
            async for line in self._process.stdout:
                state = json.loads(line)
                if state["synced"] == synced:
                    return state
        raise AssertionError("control ended")

    async def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        await self._process.communicate()
