"""Whether a new version may take more requests."""

import pytest

from plait.analysis.rollout import Figures, Guard, Verdict, decide, least_difference, wilson

GUARD = Guard()


def figures(requests: int, failed: int = 0, p50: float = 2.0, p99: float = 9.0) -> Figures:
    """Figures with ordinary durations."""
    return Figures(requests=requests, failed=failed, p50=p50, p99=p99)


CASES = [
    pytest.param(figures(500), figures(50), True, Verdict.GO_ON, "keeps to the guard", id="as good"),
    pytest.param(figures(500), figures(50), False, Verdict.WAIT, "time is not over", id="early"),
    pytest.param(figures(500), figures(19), True, Verdict.WAIT, "19 to the new version", id="too few to the new"),
    pytest.param(figures(3), figures(50), True, Verdict.WAIT, "3 to the old one", id="too few to the old"),
    pytest.param(figures(0), figures(0), True, Verdict.WAIT, "too few requests", id="none at all"),
    pytest.param(figures(500), figures(6, 5), False, Verdict.ROLL_BACK, "5 of 6 requests", id="fails at once"),
    pytest.param(figures(500), figures(4, 4), False, Verdict.WAIT, "too few", id="four failures are an accident"),
    pytest.param(figures(500), figures(100, 10), False, Verdict.ROLL_BACK, "(10.0%)", id="one in ten fails"),
    pytest.param(figures(500), figures(30, 1), True, Verdict.WAIT, "may be chance", id="one failure may be chance"),
    pytest.param(figures(500, 50), figures(500, 52), True, Verdict.GO_ON, "", id="both fail alike"),
    pytest.param(figures(900, 9), figures(900, 16), True, Verdict.GO_ON, "", id="worse within the margin"),
    pytest.param(figures(500, 100), figures(500), True, Verdict.GO_ON, "", id="better"),
    pytest.param(figures(500), figures(50, p50=30), True, Verdict.ROLL_BACK, "half of the", id="slow median"),
    pytest.param(figures(500), figures(50, p50=30), False, Verdict.WAIT, "", id="slow only at the beginning"),
    pytest.param(figures(500), figures(50, p50=6.9), True, Verdict.GO_ON, "", id="a few milliseconds"),
    pytest.param(figures(500), figures(99, p99=90), True, Verdict.GO_ON, "", id="a tail of too few"),
    pytest.param(figures(500), figures(100, p99=90), True, Verdict.ROLL_BACK, "99 in 100", id="slow tail"),
]


@pytest.mark.parametrize(("old", "new", "complete", "verdict", "reason"), CASES)
def test_decisions(  # noqa: PLR0917 - the columns of the table
    old: Figures, new: Figures, complete: bool, verdict: Verdict, reason: str
):
    """The figures of a step decide, and the sentence names them."""
    decision = decide(old, new, GUARD, complete=complete)

    assert decision.verdict is verdict
    assert reason in decision.reason


def test_what_may_be_chance_is_not_promoted_when_time_is_up():
    """A new version that looks worse to the end goes back; one without requests only waits."""
    assert decide(figures(500), figures(30, 1), GUARD, complete=True, expired=True).verdict is Verdict.ROLL_BACK
    assert decide(figures(500), figures(5), GUARD, complete=True, expired=True).verdict is Verdict.WAIT


def test_wilson_interval_as_published():
    """Wilson's interval for 81 of 263 and Newcombe's lower end for 56/70 and 48/80, from Newcombe (1998)."""
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert least_difference(figures(80, 48), figures(70, 56)) == pytest.approx(0.0524, abs=1e-4)


@pytest.mark.parametrize("failed", range(11))
def test_an_interval_holds_its_share(failed: int):
    """The interval contains the share that was seen, and is within 0 and 1."""
    low, high = wilson(failed, 10)

    assert 0 <= low <= failed / 10 <= high <= 1
    assert low < high
