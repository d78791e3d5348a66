"""What a name means to a workload, without any network."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.errors import DeadlineError, ForbiddenError, RefusedError, UnreachableError
from plait.model.view import NameRecord
from plait.node.resolver import FOREIGN, MISSING, Answer, Asker, Candidates, MeshResolver, candidates

REVIEWS = "reviews.default.svc.cluster.local"
DB = "db.default.svc.cluster.local"


class Control:
    """The mesh's side of a demand: hosts with addresses, hosts that fail, and what was asked."""

    def __init__(self, hosts: Mapping[str, str], *, away: bool = False) -> None:
        self.hosts = hosts
        self.away = away
        self.asked: list[tuple[str, str]] = []

    async def demand(self, proxy: str, host: str) -> NameRecord | None:
        self.asked.append((proxy, host))
        if self.away:
            raise UnreachableError("control is away")
        address = self.hosts.get(host)
        return NameRecord(host=host, addresses=(address,)) if address else None


def resolver(control: Control, *, clock: list[float] | None = None, **wanted: Any) -> MeshResolver:
    now = clock or [0.0]
    workloads = {
        "10.5.0.2": Asker(proxy="default/app", namespace="default"),
        "10.5.0.3": Asker(proxy="x/y", namespace="x"),
    }
    return MeshResolver(workload_of=workloads.get, demand=control.demand, clock=lambda: now[0], **wanted)


def resolve(found: MeshResolver, host: str, client: str = "10.5.0.2") -> Answer:
    async def ask() -> Answer:
        return await found(client, host)

    return asyncio.run(ask())


@pytest.mark.parametrize("spelling", ["reviews", "reviews.default", "reviews.default.svc", REVIEWS])
def test_spellings_of_a_service_mean_the_same(spelling: str):
    """All four spellings lead to the service's host first."""
    assert candidates(spelling, "default").hosts[0] == REVIEWS


def test_short_name_means_the_asker_s_namespace():
    """A short name is the service of the workload's own namespace."""
    control = Control({REVIEWS: "240.240.0.5", "reviews.x.svc.cluster.local": "240.240.0.6"})

    assert resolve(resolver(control), "reviews").addresses == ("240.240.0.5",)
    assert resolve(resolver(control), "reviews", "10.5.0.3").addresses == ("240.240.0.6",)


@pytest.mark.parametrize(
    "spelling",
    [
        "www.example.com.default.svc.cluster.local",
        "example.cluster.local",
        "a.b.c.d.svc",
        "default.svc.cluster.local",
    ],
)
def test_search_lists_of_foreign_names_end_at_once(spelling: str):
    """What a search list makes of a foreign name exists nowhere, and control is not even asked."""
    control = Control({})

    assert candidates(spelling, "default") == Candidates(hosts=(), foreign=False)
    assert resolve(resolver(control), spelling) == MISSING
    assert control.asked == []


def test_missing_service_is_missing():
    """A name of a service that is not there is not asked for outside of the mesh."""
    assert resolve(resolver(Control({})), REVIEWS) == MISSING


def test_foreign_name_that_a_service_entry_has_is_the_mesh_s():
    """A host of a ServiceEntry has an address in the mesh, whatever its name looks like."""
    control = Control({"api.example.com": "240.240.0.9"})

    assert resolve(resolver(control), "api.example.com") == Answer(kind="mesh", addresses=("240.240.0.9",))
    assert resolve(resolver(control), "www.example.com") == FOREIGN


def test_service_comes_before_a_foreign_host_of_that_name():
    """`reviews.default` is the service even if a ServiceEntry has that host as well."""
    control = Control({"reviews.default": "240.240.0.9", REVIEWS: "240.240.0.5"})

    assert resolve(resolver(control), "reviews.default").addresses == ("240.240.0.5",)


def test_control_away_fails_names_never_seen():
    """Without control an unknown name fails; it is never taken for a foreign one."""
    with pytest.raises(UnreachableError):
        resolve(resolver(Control({}, away=True)), "www.example.com")


def test_control_away_keeps_foreign_names_foreign():
    """A name that was foreign goes on being resolved while control is away."""
    control, clock = Control({}), [0.0]
    found = resolver(control, clock=clock)
    assert resolve(found, "www.example.com") == FOREIGN

    control.away, clock[0] = True, 100.0

    assert resolve(found, "www.example.com") == FOREIGN
    assert found.known_foreign() == (("default", "www.example.com"),)
    seeded = resolver(control, known_foreign=found.known_foreign())
    assert resolve(seeded, "www.example.com") == FOREIGN


def test_a_silent_control_does_not_hold_up_foreign_names():
    """While control does not answer at all, a name known to be foreign is resolved long before a client gives up."""

    async def ask() -> Answer:
        asked = 0

        async def demand(proxy: str, host: str) -> NameRecord | None:
            nonlocal asked
            asked += 1
            if asked > 2:
                await asyncio.sleep(60)
            return None

        now = [0.0]
        workload = Asker(proxy="default/app", namespace="default")
        found = MeshResolver(workload_of=lambda _: workload, demand=demand, clock=lambda: now[0])
        await found("10.5.0.2", "www.example.com")
        now[0] = 100.0
        async with asyncio.timeout(1):
            return await found("10.5.0.2", "www.example.com")

    assert asyncio.run(ask()) == FOREIGN


def test_foreign_verdict_is_short():
    """A host that becomes the mesh's is found within seconds, and not asked for again before."""
    control, clock = Control({}), [0.0]
    found = resolver(control, clock=clock)
    resolve(found, "api.example.com")
    control.hosts = {"api.example.com": "240.240.0.9"}

    assert resolve(found, "api.example.com") == FOREIGN
    clock[0] = 3.0
    assert resolve(found, "api.example.com").kind == "mesh"
    assert [host for _, host in control.asked].count("api.example.com") == 2


def test_unknown_asker_is_refused():
    """Who is no workload of this machine gets nothing."""
    with pytest.raises(ForbiddenError):
        resolve(resolver(Control({})), "reviews", "10.5.0.99")


def test_slow_demand_is_a_deadline():
    """A demand that times out is told as one."""

    async def slow(proxy: str, host: str) -> NameRecord | None:
        raise TimeoutError

    found = MeshResolver(workload_of=lambda _: Asker(proxy="default/app", namespace="default"), demand=slow)
    with pytest.raises(DeadlineError):
        resolve(found, REVIEWS)


@given(st.text(max_size=300))
def test_any_text_is_some_name(text: str):
    """Whatever is asked for has at most three candidates, all of them hosts."""
    meant = candidates(text, "default")
    assert len(meant.hosts) <= 3
    assert all(host == host.lower() and " " not in host for host in meant.hosts)


@pytest.mark.parametrize("spelling", ["db-0.db", "db-0.db.default", "db-0.db.default.svc", f"db-0.{DB}"])
def test_one_workload_behind_a_headless_service(spelling: str):
    """A workload's name before the service's, in all spellings that the service has."""
    assert resolve(resolver(Control({f"db-0.{DB}": "10.5.0.9"})), spelling).addresses == ("10.5.0.9",)


def test_parents_of_names_exist():
    """The mesh's domain is no missing name, since names below it exist."""
    for name in ("cluster.local", "svc.cluster.local"):
        assert resolve(resolver(Control({})), name) == Answer(kind="mesh")


def aliases(**wanted: str) -> MeshResolver:
    """A mesh of names that stand for others."""

    async def demand(proxy: str, host: str) -> NameRecord | None:
        del proxy
        if host == REVIEWS:
            return NameRecord(host=host, addresses=("240.240.0.5",))
        other = wanted.get(host.removesuffix(".default.svc.cluster.local"))
        return NameRecord(host=host, addresses=(), alias=other) if other else None

    return MeshResolver(workload_of=lambda _: Asker(proxy="default/app", namespace="default"), demand=demand)


def test_names_that_stand_for_others_are_followed():
    """To a service of the mesh or out of it; the other name is that of no namespace but its own."""
    found = aliases(one="two.default.svc.cluster.local", two=REVIEWS, out="www.example.com")

    assert resolve(found, "one") == Answer(
        kind="mesh", addresses=("240.240.0.5",), aliases=("two.default.svc.cluster.local", REVIEWS)
    )
    assert resolve(found, "out") == Answer(kind="foreign", aliases=("www.example.com",))


def test_names_that_stand_for_each_other_are_refused():
    """A circle ends with a failure."""
    with pytest.raises(RefusedError):
        resolve(aliases(one="two.default.svc.cluster.local", two="one.default.svc.cluster.local"), "one")


def test_addresses_lead_back_to_names():
    """What was found at an address is known by it, one workload's by its own name."""
    record = NameRecord(host=DB, addresses=("10.5.0.9", "10.5.0.8"), headless=True, instances=("db-0", ""))

    async def demand(proxy: str, host: str) -> NameRecord | None:
        return record if proxy and host == DB else None

    found = MeshResolver(workload_of=lambda _: Asker(proxy="default/app", namespace="default"), demand=demand)
    resolve(found, DB)
    assert found.host_at("10.5.0.9") == f"db-0.{DB}"
    assert found.host_at("10.5.0.8") == DB
    assert found.host_at("10.5.0.7") is None
