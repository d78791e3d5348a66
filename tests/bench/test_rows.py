"""Rows, and what decides whether a target is reached."""

import json
from pathlib import Path

import pytest

from bench import rows, traffic
from bench.load import Outcome
from bench.processes import Memory
from bench.traffic import Reading, Round


def reading(cpu: float, *, p50: float = 1.0, failed: int = 0) -> Reading:
    """A run with this CPU a request."""
    return Reading(outcome=Outcome(requests=100, failed=failed, per_second=50, p50=p50, p99=2 * p50), cpu=cpu)


def one_round(cpu: float, *, paced_p50: float = 1.0, failed: int = 0) -> Round:
    """A round with the same CPU a request in both kinds of load."""
    return Round(
        saturated=reading(cpu, failed=failed),
        paced=reading(cpu, p50=paced_p50),
        memory=Memory(resident=140, anonymous=34, proportional=60),
    )


def table(ours: list[Round], reference: list[Round]) -> dict[str, rows.Row]:
    """The rows of these rounds by name."""
    direct = [one_round(0) for _ in ours]
    return {row.name: row for row in traffic.rows({"Plait": ours, "Istio-like": reference, "direct": direct})}


def test_the_ratio_is_that_of_each_round() -> None:
    """A machine that slows down between rounds changes the values, not the ratio."""
    row = rows.ratio_row("cpu", [70, 700, 140], [100, 1000, 200], unit="us", baseline="other", limit=0.8)

    assert row.ratio == pytest.approx(0.7)
    assert row.holds is True
    assert row.spread == "0.70..0.70"


def test_a_median_above_its_limit_is_not_reached() -> None:
    """One good reading does not make a target."""
    row = rows.median_row("build", [1.0, 3.0, 4.0], "s", must="< 2", limit=2)

    assert (row.value, row.holds) == (3.0, False)


def test_rounds_that_fell_behind_do_not_count_for_the_fixed_rate() -> None:
    """A path whose requests piled up was not measured at that rate, and the row says how many rounds are left."""
    ours = [*[one_round(70)] * 5, one_round(700)]
    late = one_round(100, paced_p50=traffic.BEHIND + 1)
    found = table(ours, [*[one_round(100)] * 5, late])

    row = found[f"CPU a request of both sidecars, {traffic.PACED}"]
    assert row.ratio == pytest.approx(0.7)
    assert row.holds is True
    assert "(5 of 6 rounds)" in row.spread


def test_too_few_rounds_decide_nothing() -> None:
    """On a machine without room the fixed rate is neither reached nor missed."""
    behind = one_round(70, paced_p50=traffic.BEHIND + 1)
    few = table([one_round(90)] * 4 + [behind], [one_round(100)] * 5)
    none = table([behind] * 3, [one_round(100)] * 3)

    name = f"CPU a request of both sidecars, {traffic.PACED}"
    assert few[name].holds is None
    assert none[name].holds is None
    assert "too busy" in none[name].spread


def test_a_failed_request_is_a_missed_target() -> None:
    """Nothing may fail, on any path."""
    found = table([one_round(70, failed=2)], [one_round(100)])

    assert found["requests that failed, all paths"].value == 2
    assert found["requests that failed, all paths"].holds is False


def test_rows_are_written_as_json(tmp_path: Path) -> None:
    """The file has the documented fields."""
    rows.write([rows.median_row("delay", [0.2], "s", must="< 1", limit=1)], tmp_path / "build" / "bench.json")

    (row,) = json.loads((tmp_path / "build" / "bench.json").read_text())
    assert {"name", "value", "unit", "baseline", "ratio", "spread", "must", "holds"} == row.keys()
    assert row["value"] == 0.2
