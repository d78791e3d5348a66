"""Nothing is made again that did not change: counted, for a change that concerns many callers."""

import sys
from collections import Counter
from types import FrameType
from typing import Any

import pytest

from bench import growth_mesh
from bench.control import parsed
from bench.growth_mesh import Size
from plait.compiler import clusters, routes, scopes
from plait.controlplane.publisher import Publisher
from plait.envoy.resource_set import ResourceSet
from plait.envoy.types import CLUSTER, NAME, ROUTE
from plait.resources.parse import Resource
from plait.snapshot.build import Builder

SIZE = Size(services=30, routes=60, policies=6, endpoints=60, sidecars=30, machines=3)
EVERYBODY_CALLS = 0
CALLS_A_CALLER = 1700
"""Python functions that one more caller of a changed route may cost; counted, so it holds on any machine."""


class Mesh:
    """The mesh of the growth bench in this process, and what each of its proxies was sent last."""

    def __init__(self) -> None:
        self.builder = Builder()
        self.builder.update(parsed(growth_mesh.documents(SIZE)))
        self.sent: dict[str, ResourceSet] = {}
        self.publisher = Publisher(self._send, self.builder.snapshot)
        for proxy, machine, hosts in growth_mesh.proxies(SIZE):
            self.publisher.connect(proxy, machine)
            self.publisher.demand(proxy, frozenset(hosts))

    def change(self, resource: Resource) -> None:
        """Apply a change."""
        built = self.builder.update([resource])
        self.publisher.update(built.snapshot, built.touched, revision=built.snapshot.revision)

    def _send(self, proxy: str, resources: ResourceSet, _demand: frozenset[str]) -> None:
        self.sent[proxy] = resources


def route(weight: int) -> Resource:
    """A route of the service that everybody calls."""
    return parsed([growth_mesh.route(EVERYBODY_CALLS, SIZE.services, weight=weight)])[0]


def test_a_route_that_all_call_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One route configuration is made for thirty callers; no cluster, scope or name is."""
    mesh, made = Mesh(), Counter[str]()
    for module, name in ((routes, "outbound"), (clusters, "outbound"), (scopes, "scope_entry")):
        original = getattr(module, name)

        def counting(*given: Any, _original: Any = original, _name: str = module.__name__, **named: Any) -> Any:
            made[_name.rpartition(".")[2]] += 1
            return _original(*given, **named)

        monkeypatch.setattr(module, name, counting)
    before = dict(mesh.sent)

    mesh.change(route(weight=55))

    assert made == {"routes": 1}
    for proxy, resources in mesh.sent.items():
        changed = resources.of(ROUTE).items() - before[proxy].of(ROUTE).items()
        assert [name for name, _ in changed] == ["s0.default.svc.cluster.local:80"]
        assert all(item is before[proxy].of(CLUSTER)[name] for name, item in resources.of(CLUSTER).items())
        assert all(item is before[proxy].of(NAME)[name] for name, item in resources.of(NAME).items())


def test_callers_share_what_they_know_of_a_service() -> None:
    """Its frontend and its cluster are one object for all callers of a namespace, and stay it when others change."""
    mesh = Mesh()

    def of_first_service() -> list[tuple[object, object]]:
        views = [mesh.publisher.view_held(proxy) for proxy, _, _ in growth_mesh.proxies(SIZE)]
        assert all(views)
        first = "s0.default.svc.cluster.local"
        return [
            (
                next(item for item in view.frontends if item.host == first),
                next(item for item in view.clusters if item.host == first),
            )
            for view in views
            if view
        ]

    before = of_first_service()
    changed = parsed([growth_mesh.route(1, SIZE.services, weight=70)])[0]
    mesh.change(changed)

    assert len(before) == SIZE.sidecars
    assert {id(part) for pair in (*before, *of_first_service()) for part in pair} == {id(part) for part in before[0]}


def test_one_more_caller_of_a_changed_route_costs_little() -> None:
    """A change works through the callers' views, not through the mesh, nor through what did not change."""
    mesh = Mesh()
    mesh.change(route(weight=20))
    counted = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal counted
        counted += event == "call"

    changed = route(weight=21)
    sys.setprofile(count)
    try:
        mesh.change(changed)
    finally:
        sys.setprofile(None)

    assert 0 < counted / SIZE.sidecars < CALLS_A_CALLER, f"{counted / SIZE.sidecars:.0f} calls a caller"
