"""Changes are gathered, and none waits long for others."""

import asyncio
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from plait.controlplane.reconcile import LONGEST, QUIET, gather
from plait.store.store import Change, ObjectKey
from tests.clock import run

REMOVED_WITHIN = 0.1
Queue = asyncio.Queue[Sequence[Change] | BaseException]


def change(number: int) -> Change:
    key = ObjectKey(group="networking.istio.io", kind="WorkloadEntry", namespace="default", name=f"w{number}")
    return Change(type="DELETED", key=key, document={}, revision=number)


def waited(pauses: Sequence[float]) -> tuple[list[float], int]:
    """How long each of these changes waited, each coming so long after the one before, and in how many batches."""

    async def main() -> tuple[list[float], int]:
        loop, queue = asyncio.get_running_loop(), Queue()
        came: dict[int, float] = {}

        async def feed() -> None:
            for number, pause in enumerate(pauses):
                await asyncio.sleep(pause)
                came[number] = loop.time()
                queue.put_nowait([change(number)])

        feeding = asyncio.create_task(feed())
        waits: list[float] = []
        batches = 0
        while len(waits) < len(pauses):
            batch = await gather(queue)
            batches += 1
            waits += [loop.time() - came[item.revision] for item in batch]
        await feeding
        return waits, batches

    return run(main())


@settings(deadline=None)
@given(st.lists(st.floats(0, 0.02), min_size=1, max_size=200))
def test_no_change_waits_for_what_follows_it(pauses: list[float]) -> None:
    """However changes come, an endpoint that is removed is taken within half of its 100 ms."""
    waits, _ = waited(pauses)

    assert max(waits) <= LONGEST + 1e-9 <= REMOVED_WITHIN / 2 + 1e-9


def test_under_continuous_change_batches_are_taken_all_the_time() -> None:
    """A change every 2 ms for two seconds never lets the line be quiet, and still is taken twenty times a second."""
    waits, batches = waited([0.002] * 1000)

    assert max(waits) <= LONGEST + 1e-9
    assert batches >= 2 / LONGEST - 1


def test_changes_that_come_together_are_taken_together() -> None:
    """A set of a hundred is one batch, after a moment of quiet."""
    waits, batches = waited([0.0] * 100)

    assert batches == 1
    assert max(waits) <= QUIET + 1e-9
