"""The mesh of the growth bench, and what its rows say."""

import pytest

from bench import growth, growth_mesh
from bench.control import parsed
from bench.growth_mesh import Size

SMALL = Size(services=20, routes=40, policies=5, endpoints=40, sidecars=10, machines=4)


def test_every_document_of_the_mesh_is_valid() -> None:
    """Nothing is skipped as mistaken, which would make growth look cheap."""
    assert len(parsed(growth_mesh.documents(SMALL))) == 20 + 40 + 5 + 40


def test_sidecars_run_where_their_workloads_are_registered() -> None:
    """Control lets a stream in only from the machine of its workload; everybody calls s0, and a few call s7."""
    entries = {item.name: item for item in parsed(growth_mesh.documents(SMALL)) if item.kind.kind == "WorkloadEntry"}
    proxies = list(growth_mesh.proxies(SMALL))

    assert len({machine for _, machine, _ in proxies}) == 4
    for proxy, machine, hosts in proxies:
        assert entries[proxy.rpartition("/")[2]].annotations["plait.dev/node"] == machine
        assert "s0.default.svc.cluster.local" in hosts


def test_growth_in_this_process_has_a_row_for_each_change() -> None:
    """Everything at once, one endpoint, one route."""
    rows = list(growth.building_rows(SMALL))

    assert [row.unit for row in rows] == ["s CPU", "ms build CPU", "ms build CPU"]
    assert all(row.value > 0 for row in rows)


@pytest.mark.integration
@pytest.mark.timeout(120)
@pytest.mark.long
def test_a_small_fleet_is_synchronised_before_and_after_a_crash() -> None:
    """Every sidecar takes every change, and after kill -9 nothing unchanged is sent again."""
    growth_rows = {row.name.strip(): row for row in growth.live_rows(SMALL, rounds=1)}

    assert growth_rows["one route, called by all (10)"].value > 0
    assert growth_rows["resources sent again"].value == 0
