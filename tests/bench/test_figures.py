"""The table of the traffic, and what decides whether a target is reached."""

from collections.abc import Sequence

import pytest

from bench import cells, demand, figures, traffic
from bench.load import Outcome
from bench.plait_paths import LAYER_4, PLAIT
from bench.processes import Memory
from bench.rows import Row
from bench.traffic import Measured, Reading, Round

BOUND = figures.bound_name(figures.BOUNDS[0])
PACED_BOUND = "target: Plait to Istio-like: CPU a request, fixed rate, at most 0.60"
ADDED_BOUND = "target: Plait to Istio-like: added p50, fixed rate, at most 0.65"


def reading(cpu: float, *, p50: float = 1.0, failed: int = 0) -> Reading:
    """A run with this CPU a request."""
    return Reading(outcome=Outcome(requests=100, failed=failed, per_second=50, p50=p50, p99=2 * p50), cpu=cpu)


def one_round(cpu: float, *, paced_p50: float = 1.0, failed: int = 0) -> Round:
    """A round with the same CPU a request in both kinds of load."""
    return Round(
        saturated=reading(cpu, failed=failed),
        paced=reading(cpu, p50=paced_p50),
        memory=Memory(resident=140, anonymous=34, proportional=60),
        beside=Memory(resident=80, anonymous=60, proportional=70),
    )


def paths(ours: Sequence[Round], reference: Sequence[Round], *, floor: float = 0.5) -> Measured:
    """Plait against the Istio-like pair, with a direct path of this p50."""
    return {
        "direct": [one_round(0, paced_p50=floor) for _ in ours],
        PLAIT: ours,
        LAYER_4: ours,
        "Istio-like": reference,
    }


def table(measured: Measured) -> dict[str, Row]:
    """The rows of one cell by name."""
    return {row.name: row for row in figures.rows([(cells.CORE, measured)])}


def test_the_ratio_is_that_of_each_round() -> None:
    """A machine that slows down between rounds changes the values, not the ratio."""
    ours, theirs = [50, 500, 100, 50, 50], [100, 1000, 200, 100, 100]

    row = table(paths([one_round(cpu) for cpu in ours], [one_round(cpu) for cpu in theirs]))[BOUND]

    assert (row.ratio, row.holds, row.must) == (pytest.approx(0.5), True, "ratio <= 0.52")


def test_a_ratio_above_the_bound_is_missed() -> None:
    """0.53 is more than 0.52."""
    assert table(paths([one_round(53)] * 5, [one_round(100)] * 5))[BOUND].holds is False


def test_added_latency_is_counted_from_the_direct_path() -> None:
    """1.0 ms against 1.5 ms over a floor of 0.5 ms is half, not two thirds."""
    ours, theirs = [one_round(1, paced_p50=1.0)] * 5, [one_round(1, paced_p50=1.5)] * 5

    row = table(paths(ours, theirs))[ADDED_BOUND]

    assert (row.value, row.ratio, row.holds) == (0.5, pytest.approx(0.5), True)


def test_rounds_that_fell_behind_do_not_count_for_the_fixed_rate() -> None:
    """A path whose requests piled up was not measured at that rate, and the row says how many rounds are left."""
    late = one_round(100, paced_p50=traffic.BEHIND + 1)
    found = table(paths([*[one_round(55)] * 5, one_round(700)], [*[one_round(100)] * 5, late]))

    row = found[PACED_BOUND]
    assert (row.ratio, row.holds) == (pytest.approx(0.55), True)
    assert "(5 of 6 rounds)" in row.spread


def test_too_few_rounds_decide_nothing() -> None:
    """On a machine without room the fixed rate is neither reached nor missed."""
    behind = one_round(70, paced_p50=traffic.BEHIND + 1)

    few = table(paths([*[one_round(90)] * 4, behind], [one_round(100)] * 5))[PACED_BOUND]
    none = table(paths([behind] * 5, [one_round(100)] * 5))[PACED_BOUND]

    assert (few.holds, none.holds) == (None, None)
    assert "too busy" in none.spread


def test_a_peer_that_is_not_there_leaves_its_targets_open() -> None:
    """The row stays, says that nothing was measured, and another names the package."""
    found = table(paths([one_round(50)] * 5, [one_round(100)] * 5))

    row = found["target: Plait to nginx: CPU a request, saturated, at most 1.90"]
    assert (row.holds, row.spread) == (None, "not measured")
    (lacking,) = figures.missing_peers([("HAProxy", []), ("nginx", ["nginx-light"])])
    assert "apt-get install nginx-light" in lacking.spread


def test_a_cell_that_broke_off_is_a_missed_target_and_costs_no_other() -> None:
    """What else was measured is told, and the exit code says that something is missing."""
    other = (cells.CELLS[1], paths([one_round(50)] * 5, [one_round(100)] * 5))

    found = {row.name: row for row in [*figures.rows([other]), figures.unmeasured(cells.CORE, "nginx: no answer")]}

    assert found[BOUND].spread == "not measured"
    assert found[figures.name(cells.CELLS[1], PLAIT, figures.CPU)].value == 50
    broken = found["HTTP/1.1, 1 KB: measured"]
    assert (broken.holds, broken.spread) == (False, "nginx: no answer")


def test_a_failed_request_is_a_missed_target() -> None:
    """Nothing may fail, on any path of any cell."""
    row = table(paths([one_round(70, failed=2)], [one_round(100)]))["requests that failed, all paths"]

    assert (row.value, row.holds) == (4, False)


def test_memory_is_told_with_and_without_the_node_agent() -> None:
    """The agent serves all sidecars of a machine, but a mesh of one workload needs it as well."""
    found = table(paths([one_round(1)], [one_round(1)]))

    assert found[figures.name(cells.CORE, PLAIT, figures.PSS)].value == 60
    assert found[figures.name(cells.CORE, PLAIT, figures.PSS_ALL)].value == 130


def test_quick_rounds_decide_nothing() -> None:
    """A quick run has fewer rounds than a target needs."""
    assert all(cell.rounds < figures.FEWEST_ROUNDS for cell in cells.quick(cells.CELLS))


def test_every_target_is_read_in_the_first_cell() -> None:
    """Who is compared takes part, and often enough."""
    compared = {name for bound in figures.BOUNDS for name in (bound.ours, bound.other)}

    assert compared <= set(cells.CORE.paths)
    assert cells.CORE.rounds >= figures.FEWEST_ROUNDS


def test_the_slowest_first_calls_have_a_bound_of_their_own() -> None:
    """One call in a hundred may be slow; two are the 99th percentile."""
    held = Memory(resident=80, anonymous=21.5, proportional=30)

    fine = {row.name: row.holds for row in demand.of_readings(held, [9.0] * 99 + [500.0])}
    slow = {row.name: row.holds for row in demand.of_readings(held, [9.0] * 98 + [500.0] * 2)}

    assert set(fine.values()) == {True, None}
    assert slow["first call of an unknown service, p99"] is False
