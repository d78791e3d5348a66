"""Phases of a workload, and when it is published."""

from hypothesis import given
from hypothesis import strategies as st

from plait.node.lifecycle import ORDER, Life
from plait.node.registration import Phase


def test_published_only_while_it_runs_and_answers() -> None:
    """Neither a warming app that answers nor a running one that does not is called."""
    answering = Life().warming().probed(answering=True)
    assert not answering.published
    assert answering.running(7).published
    assert not answering.running(7).probed(answering=False).published
    assert not answering.running(7).draining(insisting=False).published


def test_an_app_that_ignores_a_signal_serves_on() -> None:
    """A signal of the user's that the app survives brings the endpoint back; an order to end does not."""
    running = Life().running(7).probed(answering=True)
    assert running.draining(insisting=False).survived().published
    assert not running.draining(insisting=True).survived().published
    assert not running.draining(insisting=False).draining(insisting=True).survived().published


@given(st.lists(st.sampled_from(["warming", "running", "draining", "exited"]), max_size=8))
def test_an_ended_workload_stays_ended(events: list[str]) -> None:
    """After the app is gone no event brings it back."""
    life = Life().exited(3)
    for event in events:
        match event:
            case "warming":
                life = life.warming()
            case "running":
                life = life.running(1)
            case "draining":
                life = life.draining(insisting=True)
            case _:
                life = life.exited(3)
    assert (life.phase, life.code) == (Phase.EXITED, 3)
    assert ORDER[-1] is Phase.EXITED
