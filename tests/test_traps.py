"""Every trap in the list of semantics easy to get wrong has a test that is named after its number."""

import re
from pathlib import Path

TRAPS = 35
"""How many the list has: defaults of retries to the safety of a wrong configuration."""


def test_every_trap_has_its_test() -> None:
    """`test_trap_07_...` is the test of trap 7."""
    files = Path(__file__).parent.rglob("test_*.py")
    named = {int(number) for file in files for number in re.findall(r"^def test_trap_(\d\d)_", file.read_text(), re.M)}

    assert set(range(1, TRAPS + 1)) - named == set()
