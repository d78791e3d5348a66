"""Counters in memory: windows that slide, and no more of them than there is room for."""

import asyncio
import time
from collections import Counter
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from limits.aio.storage import MemoryStorage

from plait.limiting.memory import BoundedMemory

T = TypeVar("T")


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def done(work: Coroutine[Any, Any, T]) -> T:
    """The result of what never waits."""
    try:
        work.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it waits")


Steps = list[tuple[float, str, int]]
STEPS = st.lists(
    st.tuples(st.floats(0, 3, allow_nan=False), st.sampled_from("ab"), st.integers(1, 3)), min_size=1, max_size=80
)


@given(st.integers(1, 8), st.integers(1, 4), STEPS)
def test_never_more_than_the_limit_passes_in_a_window(limit: int, window: int, steps: Steps) -> None:
    """Of each window of the clock, for each key apart; and right after a full window at most one more."""
    clock = Clock()
    storage = BoundedMemory(1000, clock)
    passed: Counter[tuple[str, int]] = Counter()
    for pause, key, amount in steps:
        clock.now += pause
        if done(storage.acquire_sliding_window_entry(key, limit, window, amount)):
            passed[key, int(clock.now / window)] += amount
        assert passed[key, int(clock.now / window)] <= limit
        if passed[key, int(clock.now / window)] == limit:
            before = clock.now
            clock.now = (int(clock.now / window) + 1) * window + 1e-6 * window
            assert not done(storage.acquire_sliding_window_entry(key, limit, window, 2))
            clock.now = before


@given(st.integers(1, 8), st.integers(1, 4), STEPS)
def test_it_counts_as_the_librarys_own_memory_does(limit: int, window: int, steps: Steps) -> None:
    """The same requests pass, at the same times."""

    clock = Clock()

    async def compare() -> None:
        ours, theirs = BoundedMemory(1000, clock), MemoryStorage()
        for pause, key, amount in steps:
            clock.now += pause
            answers = [await item.acquire_sliding_window_entry(key, limit, window, amount) for item in (ours, theirs)]
            assert answers[0] == answers[1]
            found = [await item.get_sliding_window(key, window) for item in (ours, theirs)]
            assert [found[0][0], found[0][2]] == [found[1][0], found[1][2]]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", clock)
        asyncio.run(compare())


def test_the_limit_is_there_again_when_the_window_has_passed() -> None:
    """Half of it after half of the next window, all of it after two."""
    clock = Clock()
    storage = BoundedMemory(10, clock)

    def passes() -> int:
        return sum(done(storage.acquire_sliding_window_entry("a", 10, 10)) for _ in range(20))

    assert passes() == 10
    clock.now += 15
    assert passes() == 5
    clock.now += 20
    assert passes() == 10


def test_counters_that_were_not_used_for_longest_give_way() -> None:
    """However many values callers name, one that is in use keeps its count."""
    storage = BoundedMemory(100, Clock())
    for number in range(1000):
        done(storage.acquire_sliding_window_entry(f"value {number}", 5, 60))
        done(storage.acquire_sliding_window_entry("all", 100, 60))
    assert not done(storage.acquire_sliding_window_entry("all", 100, 60))
    assert done(storage.reset()) == 100


def test_counters_of_one_window_live_as_long_as_it() -> None:
    """What `limits` calls a fixed window works too."""
    clock = Clock()
    storage = BoundedMemory(10, clock)
    assert [done(storage.incr("a", 5)) for _ in range(3)] == [1, 2, 3]
    assert done(storage.get_expiry("a")) == clock.now + 5
    clock.now += 5
    assert done(storage.get("a")) == 0
    done(storage.incr("a", 5, 4))
    done(storage.clear("a"))
    assert done(storage.get("a")) == 0
