"""Subsets in a real Envoy: what is empty or missing answers 503, and a route and its subset change together."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from plait.compiler.endpoints import of_cluster
from plait.envoy import types
from plait.envoy.resource_set import ResourceSet
from plait.model.services import Endpoint
from plait.model.traffic import Destination, Rule
from plait.model.view import OutboundCluster
from tests import builders as b
from tests.compiler import loopback, streamed
from tests.envoy import live

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]

ADDRESS = "127.240.0.1"


def of_version(version: str, app: live.App) -> Endpoint:
    """An endpoint of the service that bears a label."""
    return replace(b.endpoint("127.0.0.1", app.port), labels=(("version", version),))


def subset(port: int, version: str, *, missing: bool = False) -> OutboundCluster:
    """The cluster of the endpoints of a version."""
    cluster = b.cluster("web", port, secure=False)
    key = b.key("web", port, subset=version)
    return replace(cluster, key=key, labels=(("version", version),), missing=missing)


def held(port: int, clusters: Sequence[OutboundCluster], *endpoints: Endpoint, to: str) -> ResourceSet:
    """What a caller's proxy holds whose one rule leads to a subset."""
    rule = Rule(name="r", destinations=(Destination(cluster=b.key("web", port, subset=to)),))
    view = replace(b.view("client", b.frontend("web", port, rule, address=ADDRESS), *clusters), outbound_port=port)
    found = [of_cluster(item, endpoints, node="") for item in clusters if not item.missing]
    return loopback.client(view, {}).replaced(types.ENDPOINT, {item.name: item for item in found})


def test_a_rule_leads_to_the_endpoints_of_its_subset() -> None:
    """And to no other endpoint of the service."""
    port = live.free_port()
    with live.apps("one", "two") as apps:
        both = [of_version("v1", apps["one"]), of_version("v2", apps["two"])]
        with live.running(held(port, [subset(port, "v2")], *both, to="v2")):
            assert {live.request((ADDRESS, port)).app for _ in range(10)} == {"two"}


def test_trap_11_an_empty_and_a_missing_subset_answer_503() -> None:
    """Envoy takes both; what the proxy counts tells them apart."""
    port = live.free_port()
    with live.running(held(port, [subset(port, "v1")], to="v1")) as admin:
        assert live.request((ADDRESS, port)).status == 503
        assert "upstream_cx_none_healthy: 1" in live.ask_admin(admin, "/stats?filter=none_healthy")
    with live.running(held(port, [subset(port, "v2", missing=True)], to="v2")) as admin:
        assert live.request((ADDRESS, port)).status == 503
        assert "no_cluster: 1" in live.ask_admin(admin, "/stats?filter=no_cluster")


def test_a_subset_and_the_rule_that_leads_there_change_together() -> None:
    """Back and forth under load, the old subset gone each time: no call is lost."""

    async def run() -> None:
        port = live.free_port()
        with live.apps("one", "two") as apps:
            both = [of_version("v1", apps["one"]), of_version("v2", apps["two"])]
            states = [held(port, [subset(port, version)], *both, to=version) for version in ("v1", "v2")]
            seen: list[tuple[int, str]] = []
            done = asyncio.Event()

            async def load() -> None:
                while not done.is_set():
                    answer = await streamed.get((ADDRESS, port))
                    seen.append((answer.status, answer.app))

            async with streamed.streamed(states[0]) as control:
                callers = [asyncio.ensure_future(load()) for _ in range(3)]
                for number in range(12):
                    await control.publish(states[(number + 1) % 2])
                    await asyncio.sleep(0.05)
                done.set()
                await asyncio.gather(*callers)
            assert set(seen) == {(200, "one"), (200, "two")}

    asyncio.run(run())
