"""`plait apply --dry-run`: what a commit would do is told, judged by a real Envoy, and nothing is stored."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from plait.ads.peer_service import Method
from plait.controlplane import rehearsals as rehearsals_module
from plait.controlplane.asking import nobody
from plait.controlplane.envoy_check import EnvoyCheck, Refused, stand_ins
from plait.controlplane.everywhere import Holders
from plait.controlplane.objects import Objects
from plait.controlplane.publisher import Publisher
from plait.controlplane.rehearsals import Rehearsals
from plait.envoy.binary import find_envoy
from plait.envoy.resource_set import ResourceSet, entry
from plait.envoy.types import CLUSTER, LISTENER, ROUTE
from plait.errors import RefusedError
from plait.snapshot.build import Builder
from plait.store.memory import MemoryStore
from plait.store.store import Document, Write
from tests.controlplane.meshes import MACHINE, resource, shop
from tests.envoy import certificates

pytestmark = pytest.mark.anyio
REVIEWS = "reviews.shop.svc.cluster.local"
DOMAIN = "cluster.local"


@pytest.fixture
def anyio_backend() -> str:
    """Control runs on asyncio."""
    return "asyncio"


def route(backend: str = "reviews-v2", host: str = "reviews") -> dict[str, Any]:
    """A route of the reviews, written at line 7 of a file."""
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {
            "name": "reviews",
            "namespace": "shop",
            "generation": 9,
            "annotations": {"plait.dev/source": '{"file": "mesh.yaml", "line": 7, "lines": {"": 7}}'},
        },
        "spec": {
            "parentRefs": [{"group": "", "kind": "Service", "name": host}],
            "rules": [{"backendRefs": [{"name": backend, "port": 80}]}],
        },
    }


def write_of(document: Document) -> Write:
    """A write of an object."""
    return Write(key=Objects.key_of(document), document=document)


def envoy(folder: Path) -> EnvoyCheck:
    """The real Envoy."""
    authority = certificates.shared()
    chain, key = authority.leaf("spiffe://cluster.local/ns/default/sa/control")
    return EnvoyCheck(find_envoy(), folder, stand_ins(chain, key, authority.bundle))


def no_send(_proxy: str, _resources: ResourceSet, _demand: frozenset[str]) -> None:
    """Nobody is connected really."""


def asking_for(publisher: Publisher) -> Mapping[str, Method]:
    """What another control, whose proxies these are, answers."""
    unused = cast("Any", None)
    return Holders(publisher, unused, unused, nobody).methods()


async def running(folder: Path, *, demand: str = REVIEWS, check: EnvoyCheck | None = None) -> Rehearsals:
    """The shop's mesh, with a connected frontend that asks for a host."""
    store = MemoryStore()
    objects = [resource(MACHINE), *shop()]
    await store.commit([write_of(item.document) for item in objects])
    publisher = Publisher(no_send, Builder().update(objects).snapshot)
    publisher.connect("shop/frontend", "one")
    publisher.connect("shop/orders", "one")
    publisher.demand("shop/frontend", frozenset([demand]))
    chosen = check or envoy(folder)
    return Rehearsals(store, publisher, nobody, trust_domain=DOMAIN, check=lambda: chosen)


async def test_who_would_change_is_told_and_nothing_is_stored(tmp_path: Path):
    """The caller of the reviews would be sent its routes; Envoy takes them; the store stays as it is."""
    rehearsals = await running(tmp_path)
    before = rehearsals.store.revision

    told = await rehearsals.answer([write_of(route())])

    assert [(item.name, item.changed) for item in told.workloads] == [("frontend", 1)]
    assert (told.proxies, told.refused, told.unvalidated) == (2, (), "")
    assert told.validated >= 1
    assert rehearsals.store.revision == before
    assert (await rehearsals.answer([])).workloads == ()


async def test_conditions_that_would_turn_bad_are_told_with_their_line(tmp_path: Path):
    """A backend that does not exist would make ResolvedRefs false, on the route, at its line; old ones are not told."""
    rehearsals = await running(tmp_path)

    told = await rehearsals.answer([write_of(route(backend="nothing"))])

    found = [(item.type, item.status, item.reason) for item in told.conditions]
    assert found == [("ResolvedRefs", "False", "BackendNotFound")]
    assert (told.conditions[0].source.file, told.conditions[0].source.line) == ("mesh.yaml", 7)


async def test_what_envoy_refuses_is_told_at_the_users_object(tmp_path: Path):
    """An Envoy that takes no route of the reviews: the refusal names the HTTPRoute, its file and line."""
    fake = tmp_path / "envoy"
    fake.write_text(
        f"#!/bin/sh\ngrep -q '{REVIEWS}' $4 && grep -q reviews-v2 $4 || exit 0\necho 'no such thing'\nexit 1\n"
    )
    fake.chmod(0o755)
    for demand in (REVIEWS, "orders.shop.svc.cluster.local"):
        rehearsals = await running(tmp_path, demand=demand, check=EnvoyCheck(fake, tmp_path, ()))

        told = await rehearsals.answer([write_of(route())])

        assert told.refused, demand
        assert {item.message for item in told.refused} == {"no such thing"}
        sources = {(s.kind, s.name, s.file, s.line) for item in told.refused for s in item.sources}
        assert ("HTTPRoute", "reviews", "mesh.yaml", 7) in sources


async def test_the_refused_resource_is_found(tmp_path: Path):
    """Envoy names the culprit by its own words, whatever else is new, and keys do not stay on disk."""
    rehearsals = await running(tmp_path)
    whole = rehearsals.publisher.held_by("shop/frontend")
    assert whole is not None
    bad = entry("bad", CLUSTER, b"\x0a\x03bad\x10\x02")  # LOGICAL_DNS without any address
    fresh = ResourceSet({CLUSTER: {"bad": bad}, ROUTE: whole.of(ROUTE), LISTENER: whole.of(LISTENER)})

    found = await envoy(tmp_path).refused(whole.replaced(CLUSTER, {**whole.of(CLUSTER), "bad": bad}), fresh)

    assert [item.resource for item in found] == ["bad"]
    assert "LOGICAL_DNS clusters must have" in found[0].message
    assert isinstance(found[0], Refused)
    assert os.listdir(tmp_path) == []  # noqa: PTH208


async def test_without_an_envoy_the_rest_is_told(tmp_path: Path):
    """Who would change is told all the same, and that no Envoy judged it."""
    rehearsals = await running(tmp_path)

    def none() -> EnvoyCheck:
        raise RefusedError("no Envoy is installed")

    rehearsals = Rehearsals(rehearsals.store, rehearsals.publisher, nobody, trust_domain=DOMAIN, check=none)
    told = await rehearsals.answer([write_of(route())])

    assert (told.unvalidated, told.validated, len(told.workloads)) == ("no Envoy is installed", 0, 1)


async def test_other_controls_proxies_are_rehearsed_too(tmp_path: Path):
    """What the proxies of another control ask for comes from there."""
    rehearsals = await running(tmp_path)
    asked = asking_for(rehearsals.publisher)

    async def ask(method: str, body: Mapping[str, Any], _limit: float) -> list[Mapping[str, Any]]:
        return [await asked[method](body)]

    empty = Publisher(no_send, rehearsals.publisher.snapshot)
    chosen = envoy(tmp_path)
    asking = Rehearsals(rehearsals.store, empty, ask, trust_domain=DOMAIN, check=lambda: chosen)

    assert [item.name for item in (await asking.answer([write_of(route())])).workloads] == ["frontend"]


@pytest.mark.parametrize("kind", ["HTTPRoute"])
async def test_a_deletion_is_rehearsed(tmp_path: Path, kind: str):
    """What pruning would delete goes from the proxies in the rehearsal."""
    rehearsals = await running(tmp_path)
    listing = await rehearsals.store.list(kind=kind, namespace="shop")
    gone = [Write(key=Objects.key_of(item), document=None) for item in listing.items]
    assert gone

    told = await rehearsals.answer(gone)

    assert "frontend" in [item.name for item in told.workloads]


async def test_envoy_is_not_asked_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A change of many proxies is judged as far as the time goes, and the rest is said."""
    monkeypatch.setattr(rehearsals_module, "_JUDGES_WITHIN", -1.0)
    rehearsals = await running(tmp_path)

    told = await rehearsals.answer([write_of(route())])

    assert told.validated == 0
    assert "judged 0 of" in told.unvalidated
    assert len(told.workloads) == 1
