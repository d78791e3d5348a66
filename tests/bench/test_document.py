"""The page and the picture that a run fills."""

import json
from dataclasses import asdict
from pathlib import Path
from xml.etree import ElementTree

from bench import chart, document, figures
from bench.cells import CELLS, CORE
from bench.plait_paths import PLAIT
from bench.rows import Row

PAGE = "# Costs\n\n<!-- bench:targets -->\nold\n<!-- /bench -->\n\nText.\n\n<!-- bench:core -->\n<!-- /bench -->\n"


def rows(*found: Row) -> dict[str, Row]:
    """Rows by name."""
    return {row.name: row for row in found}


CPU = Row(
    name=figures.name(CORE, PLAIT, figures.CPU),
    value=101.26,
    unit="us",
    baseline="Istio-like 200",
    ratio=0.506,
    spread="0.5..0.52",
)
BOUND = Row(
    name="target: Plait to Istio-like: CPU a request, saturated",
    value=101.26,
    unit="us",
    baseline="Istio-like 200",
    ratio=0.506,
    spread="0.5..0.52",
    must="ratio <= 0.52",
    holds=True,
)


def test_tables_replace_what_was_between_the_marks_and_nothing_else() -> None:
    """Text written by hand stays, old figures go, and a second run changes nothing."""
    once = document.filled(PAGE, rows(CPU, BOUND))

    assert "old" not in once
    assert "\nText.\n" in once
    name = "Plait to Istio-like: CPU a request, saturated"
    line = f"| {name} | 101 us | Istio-like 200 | 0.51 (0.5 to 0.52) | ≤ 0.52 | yes |"
    assert line in once.splitlines()
    assert document.filled(once, rows(CPU, BOUND)) == once


def test_a_missed_target_is_marked_and_a_path_that_was_not_read_is_named() -> None:
    """The page does not hide what failed or what was left out."""
    missed = Row(name="requests that failed, all paths", value=3, unit="", must="0", holds=False)

    page = document.filled(PAGE, rows(missed, CPU))

    assert "| requests that failed, all paths | 3 |" in page
    assert "**no**" in page
    assert "| HTTP/1.1, 1 KB | HAProxy | not measured |" in page


def test_rows_of_cells_are_not_repeated_among_the_rest() -> None:
    """The last table holds what no other holds."""
    lone = Row(name="`plait run --detach` until Running", value=0.27, unit="s", spread="0.2..0.3")

    lines = document.rest(rows(CPU, BOUND, lone))

    assert lines[2:] == ["| `plait run --detach` until Running | 0.27 s | 0.2..0.3 |"]


def test_rows_of_the_same_name_are_told_with_what_they_belong_to(tmp_path: Path) -> None:
    """Growth has the same rows for every size; none takes another's place."""
    names = ["100 sidecars", "  one route", "    taken by half", "200 sidecars", "  one route"]
    written = [asdict(Row(name=name, value=number, unit="s", must="< 9")) for number, name in enumerate(names)]
    (tmp_path / "bench.json").write_text(json.dumps(written))

    found = document.read(tmp_path / "bench.json")

    assert [*found][1:3] == ["100 sidecars: one route", "100 sidecars: one route: taken by half"]
    assert found["200 sidecars: one route"].value == 4


def test_every_path_of_every_cell_has_a_line() -> None:
    """Nobody who takes part is forgotten in the order of the tables."""
    assert {path for cell in CELLS for path in cell.paths} == set(document.ORDER)


def test_the_picture_draws_bars_to_scale() -> None:
    """Half the value is half the width, names are escaped, and ours stand out."""
    group = chart.Group(title="CPU", unit="us", values={"Plait": 50, "a<b": 100})

    root = ElementTree.fromstring(chart.svg([group], ours="Plait"))

    bars = [each for each in root.iter() if each.tag.endswith("rect")]
    assert [bar.get("class") for bar in bars] == ["ours", "other"]
    assert float(bars[0].get("width", "")) * 2 == float(bars[1].get("width", ""))
    assert "a<b" in [each.text for each in root.iter()]
