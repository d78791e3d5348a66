"""Keys, SPIFFE IDs and the time of renewal."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.errors import RefusedError
from plait.identity import spiffe
from plait.identity.certificates import BACKDATED, LEAF_LIFE, ROOT_LIFE
from plait.identity.svid import renewal_time

BEGIN = datetime(2026, 11, 22, tzinfo=UTC)


@given(st.floats(0, 1), st.integers(2, 10**6))
def test_renewal_is_a_little_before_half_life(chance: float, seconds: int) -> None:
    """Whatever the chance, renewal falls between 40 and 50 per cent of the life after the leaf was issued.

    Leaves are dated back for the sake of clocks that are late; of a leaf of ten minutes that is a third of its dates.
    """
    life = timedelta(seconds=seconds)
    share = (renewal_time(BEGIN - BACKDATED, BEGIN + life, chance=chance) - BEGIN) / life
    assert 0.399 <= share <= 0.501


def test_trap_32_leaves_live_a_day_and_roots_ten_years() -> None:
    """And a leaf of a day is renewed in the last hours before noon, not all at one moment."""
    assert (timedelta(hours=24), timedelta(days=3650)) == (LEAF_LIFE, ROOT_LIFE)
    due = {renewal_time(BEGIN - BACKDATED, BEGIN + LEAF_LIFE, chance=chance) for chance in (0.0, 0.5, 1.0)}
    assert len(due) == 3
    assert BEGIN + timedelta(hours=9) < min(due) < max(due) <= BEGIN + timedelta(hours=12, minutes=1)


@given(st.floats(0, 1), st.integers(1, 300))
def test_a_leaf_shorter_than_its_backdating_is_due_within_its_dates(chance: float, seconds: int) -> None:
    """As one would be that the mesh did not issue."""
    end = BEGIN + timedelta(seconds=seconds)
    assert BEGIN <= renewal_time(BEGIN, end, chance=chance) <= end


def test_identities_of_workloads_and_machines_are_told_apart() -> None:
    """Building and parsing agree, and a workload's ID is never read as a machine's."""
    node = spiffe.node_id("cluster.local", "laptop-1")
    workload = spiffe.workload_id("cluster.local", "default", "reviews")

    assert spiffe.parse_node(node, "cluster.local") == "laptop-1"
    assert spiffe.parse_workload(workload, "cluster.local") == ("default", "reviews")
    assert spiffe.parse_node(workload, "cluster.local") is None
    assert spiffe.parse_workload(node, "cluster.local") is None
    assert spiffe.parse_node(node, "other.example") is None
    assert spiffe.parse_node(spiffe.control_id("cluster.local"), "cluster.local") is None


@pytest.mark.parametrize("name", ["", "a/b", "..", "a b", "é"])
def test_names_that_would_change_the_path_are_refused(name: str) -> None:
    """A name that cannot be one path segment never gets into an identity."""
    with pytest.raises(RefusedError):
        spiffe.node_id("cluster.local", name)
    with pytest.raises(RefusedError):
        spiffe.workload_id("cluster.local", "default", name)
