"""Rows, and how they are written."""

import json
from pathlib import Path

from bench import rows


def test_a_median_above_its_limit_is_not_reached() -> None:
    """One good reading does not make a target."""
    row = rows.median_row("build", [1.0, 3.0, 4.0], "s", must="< 2", limit=2)

    assert (row.value, row.holds) == (3.0, False)


def test_half_of_the_values_lie_within_the_quartiles() -> None:
    """Of few values all are named; of more, outliers are left out."""
    assert rows.quartiles([3, 1, 2]) == "1..3"
    assert rows.quartiles([1, 2, 3, 4, 100]) == "2..4"


def test_rows_are_written_as_json(tmp_path: Path) -> None:
    """The file has the documented fields."""
    rows.write([rows.median_row("delay", [0.2], "s", must="< 1", limit=1)], tmp_path / "build" / "bench.json")

    (row,) = json.loads((tmp_path / "build" / "bench.json").read_text())
    assert {"name", "value", "unit", "baseline", "ratio", "spread", "must", "holds"} == row.keys()
    assert row["value"] == 0.2
