"""The rows of a long routing table, and the table itself."""

from bench import routing_table
from bench.load import Outcome
from bench.processes import NO_MEMORY
from bench.traffic import Reading, Round


def read(p50: float, *, failed: int = 0) -> Round:
    """A round whose readings have this median latency (ms)."""
    outcome = Outcome(requests=100, failed=failed, per_second=100, p50=p50, p99=2 * p50)
    reading = Reading(outcome=outcome, cpu=100 * p50)
    return Round(saturated=reading, paced=reading, memory=NO_MEMORY)


def test_the_ratio_of_a_round_counts() -> None:
    """The median of the rounds' ratios is held against the bound, whatever the machine's drift."""
    rows = list(routing_table.of_rounds([(read(1.0), read(1.05)), (read(2.0), read(2.1)), (read(1.0), read(1.3))]))

    assert (rows[0].ratio, rows[0].holds) == (1.05, True)
    assert rows[0].must == "ratio < 1.1"
    assert rows[-1].holds is True


def test_rounds_that_fell_behind_decide_nothing_and_failures_are_told() -> None:
    """A machine too busy for the fixed rate says so; a request that failed is a missed target."""
    rows = list(routing_table.of_rounds([(read(9.0), read(9.0, failed=1))]))

    assert rows[0].holds is None
    assert "too busy" in rows[0].spread
    assert rows[-1].holds is False


def test_the_call_is_that_of_the_last_rule() -> None:
    """The table has all its rules, in routes that the standard allows, and the called path is the last in its order."""
    routes = [document["spec"] for document in routing_table.documents() if document["kind"] == "HTTPRoute"]
    prefixes = [rule["matches"][0]["path"]["value"] for route in routes for rule in route["rules"]]

    assert len(prefixes) == len(set(prefixes)) == routing_table.RULES
    assert max(len(route["rules"]) for route in routes) <= 16
    assert min(prefixes, key=len) == routing_table.CALL.path
