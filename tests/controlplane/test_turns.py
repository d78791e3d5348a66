"""Turns: who comes first, what is told to those who wait, and that others are let in."""

import asyncio

import pytest

from plait.controlplane.publisher import Publisher
from plait.controlplane.turns import Turn, Turns
from plait.envoy.resource_set import ResourceSet
from plait.envoy.types import ENDPOINT
from plait.snapshot.build import Builder
from tests.clock import run
from tests.controlplane.meshes import entry, resource, shop

REVIEWS = "reviews.shop.svc.cluster.local"


def turns_of(turns: Turns) -> list[tuple[str, bool]]:
    """All turns, as (proxy, whether it is projected)."""
    found: list[tuple[str, bool]] = []
    while (turn := turns.take()) is not None:
        found.append((turn.proxy, turn.project))
    return found


def test_changed_endpoints_come_first() -> None:
    """Who balances over changed endpoints comes before a herd that is projected, itself projected if it has to be."""
    turns = Turns()
    for number in range(3):
        turns.project(f"p{number}", 1, force=False)
    turns.balance("light", 2)
    turns.balance("p2", 2)

    assert turns_of(turns) == [("light", False), ("p2", True), ("p0", True), ("p1", True)]


def test_a_proxy_has_one_turn_for_all_that_concerns_it() -> None:
    """Changes while it waits are taken with the first; force is kept, and who left is dropped."""
    turns = Turns()
    turns.project("a", 1, force=True)
    turns.project("gone", 1, force=False)
    turns.project("a", 2, force=False)
    turns.drop("gone")

    assert turns.take() == Turn(proxy="a", project=True, force=True)
    assert turns.take() is None


def test_a_revision_is_owed_until_everybody_had_a_turn_for_it() -> None:
    """Who waits for a revision waits for those that were concerned by it or before, and for no later change."""
    turns = Turns()
    turns.project("a", 3, force=False)
    turns.project("b", 5, force=False)

    assert [turns.owes(revision) for revision in (2, 3, 5)] == [False, True, True]
    turns.take()
    assert [turns.owes(revision) for revision in (3, 4, 5)] == [False, False, True]


def test_others_are_let_in_between_slices() -> None:
    """With slices of no length, a task that does nothing but yield gets its turn after each proxy."""
    order: list[str] = []

    async def main() -> None:
        turns = Turns()
        for number in range(3):
            turns.project(f"p{number}", 1, force=False)

        async def other() -> None:
            while True:
                order.append("other")
                await asyncio.sleep(0)

        def work(turn: Turn) -> None:
            order.append(turn.proxy)

        tasks = [asyncio.create_task(turns.run(work, slice_seconds=1e-9)), asyncio.create_task(other())]
        await turns.done(1)
        for task in tasks:
            task.cancel()

    run(main())

    assert [item for item in order if item != "other"] == ["p0", "p1", "p2"]
    assert "other" in order[order.index("p0") : order.index("p2")]


def test_a_turn_that_fails_keeps_nobody_else_waiting() -> None:
    """When the task is started again after a bug, it goes on with those that wait, without a new change."""
    done: list[str] = []

    async def main() -> None:
        turns = Turns()
        for number in range(3):
            turns.project(f"p{number}", 1, force=False)

        def work(turn: Turn) -> None:
            if turn.proxy == "p0":
                raise ValueError(turn.proxy)
            done.append(turn.proxy)

        with pytest.raises(ValueError, match="p0"):
            await turns.run(work)
        again = asyncio.create_task(turns.run(work))
        await turns.done(1)
        again.cancel()

    run(main())

    assert done == ["p1", "p2"]


def test_a_publisher_with_turns_sends_when_they_are_taken() -> None:
    """A connection and its demand are one projection; a changed endpoint waits for its turn and compiles nothing."""
    sent: list[tuple[str, ResourceSet]] = []
    builder, turns = Builder(), Turns()
    publisher = Publisher(
        lambda proxy, items, _demand: sent.append((proxy, items)), builder.update(shop()).snapshot, turns
    )
    publisher.connect("shop/frontend", "one")
    publisher.demand("shop/frontend", frozenset([REVIEWS]))
    assert sent == []

    while (turn := turns.take()) is not None:
        publisher.take_turn(turn)
    assert [proxy for proxy, _ in sent] == ["shop/frontend"]
    assert publisher.work["project"] == 1

    built = builder.update([resource(entry("reviews-v1", 9085, app="reviews", ready="false"))])
    publisher.update(built.snapshot, built.touched, revision=7)
    assert (len(sent), turns.owes(7)) == (1, True)
    turn = turns.take()
    assert turn is not None
    assert turn == Turn(proxy="shop/frontend", project=False)
    publisher.take_turn(turn)
    assert sent[1][1].of(ENDPOINT) != sent[0][1].of(ENDPOINT)
    assert publisher.work["compile"] == 1
