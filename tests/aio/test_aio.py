"""Newest value wins, signals are bundled, failing tasks are started again."""

import asyncio
import logging
from itertools import islice, repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.aio.backoff import backoff
from plait.aio.debounce import Debounce, due
from plait.aio.latest import Latest
from plait.aio.supervise import RESTARTS, supervise
from tests.clock import run


def test_a_slow_reader_skips_to_the_newest_value() -> None:
    """Values that were replaced before they were read are gone."""

    async def main() -> list[int]:
        latest = Latest[int]()
        for number in range(5):
            latest.put(number)
        first = await latest.get()
        asyncio.get_running_loop().call_later(1, latest.put, 9)
        return [first, await latest.get()]

    assert run(main()) == [4, 9]


def test_latest_can_be_iterated() -> None:
    """An endless loop over values, for a task that serves them."""

    async def main() -> list[int]:
        latest, seen = Latest[int](), list[int]()
        latest.put(1)
        async for number in latest:
            seen.append(number)
            if number == 3:
                break
            latest.put(number + 1)
        return seen

    assert run(main()) == [1, 2, 3]


@pytest.mark.parametrize(
    ("signals", "served"),
    [
        ([0.0], [0.1]),
        ([0.0, 0.05, 0.1], [0.2]),
        ([number * 0.08 for number in range(10)], [0.5, 0.82]),
        ([0.0, 5.0], [0.1, 5.1]),
    ],
)
def test_signals_are_served_after_a_quiet_moment_or_at_the_limit(signals: list[float], served: list[float]) -> None:
    """A lone signal waits for the quiet time, a storm is cut at the limit."""

    async def main() -> list[float]:
        loop, debounce, times = asyncio.get_running_loop(), Debounce(quiet=0.1, longest=0.5), list[float]()
        for when in signals:
            loop.call_at(when, debounce.signal)
        for _ in served:
            await debounce.wait()
            times.append(loop.time())
        return times

    assert run(main()) == pytest.approx(served, abs=0.01)


@given(st.floats(0, 10), st.floats(0, 10), st.floats(0.01, 1), st.floats(0.01, 1))
def test_serving_is_never_later_than_the_limit(first: float, lasting: float, quiet: float, longest: float) -> None:
    """However long signals last, the first waits no longer than the limit."""
    assert due(first, first + lasting, quiet=quiet, longest=longest) <= first + longest


def test_backoff_doubles_up_to_its_limit_with_jitter() -> None:
    """Waits grow to the limit, and chance takes off at most half."""
    assert list(islice(backoff(0.1, 1.0, chance=lambda: 1.0), 6)) == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.0, 1.0])
    assert list(islice(backoff(0.1, 1.0, chance=lambda: 0.0), 2)) == pytest.approx([0.05, 0.1])


def test_a_failing_task_is_started_again(caplog: pytest.LogCaptureFixture) -> None:
    """Two failures are logged and counted, then the task ends well."""
    caplog.set_level(logging.CRITICAL)
    attempts: list[int] = []

    async def work() -> None:
        attempts.append(1)
        if len(attempts) < 3:
            raise ValueError("a bug")

    run(supervise("a task", work, waits=lambda: repeat(10.0)))
    assert len(attempts) == 3
    assert RESTARTS["a task"] == 2


def test_a_cancelled_task_is_not_started_again() -> None:
    """Cancellation ends the task and its supervision."""
    attempts: list[int] = []

    async def work() -> None:
        attempts.append(1)
        await asyncio.sleep(1000)

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await supervise("another", work)

    run(main())
    assert attempts == [1]
