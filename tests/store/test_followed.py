"""A copy follows the store of another process, whoever writes."""

import asyncio
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from plait.errors import ConflictError, NotFoundError
from plait.store.memory import MemoryStore
from plait.store.store import Write
from tests.store.documents import drop, key, put
from tests.store.followers import follower

NAMES = st.sampled_from("abc")


def _put(name: str, value: int, expected: int | None) -> Write:
    return put(name, expected=expected, x=value)


WRITE = st.one_of(
    st.builds(_put, NAMES, st.integers(0, 3), st.sampled_from((None, 0, 1))),
    st.builds(drop, NAMES),
)
COMMITS = st.lists(st.tuples(st.booleans(), st.lists(WRITE, min_size=1, max_size=4)), max_size=12)


async def outcome(store: MemoryStore, writes: Sequence[Write]) -> tuple[object, ...]:
    """What a commit answers: documents, or the refusal's words."""
    try:
        return await store.commit(writes)
    except (ConflictError, NotFoundError) as refusal:
        return (type(refusal), refusal.problem, refusal.remedy)


@settings(max_examples=60, deadline=None)
@given(earlier=st.lists(NAMES, max_size=3), commits=COMMITS)
def test_any_commits_bring_the_copy_to_the_same(
    earlier: Sequence[str], commits: Sequence[tuple[bool, Sequence[Write]]]
) -> None:
    """Each commit answers as in a store alone, wherever it is made, and copy and owner then hold the same."""

    async def play() -> None:
        owner, alone = MemoryStore(), MemoryStore()
        for store in (owner, alone):
            await store.commit([put(name) for name in earlier])
        async with follower(owner) as first, follower(owner) as second:
            for through, writes in commits:
                asked = first if through else owner
                answer = await outcome(asked, writes)
                assert answer == await outcome(alone, writes)
                if answer and isinstance(answer[0], type):
                    continue
                assert await asked.list() == await alone.list()
            for copy in (first, second):
                await asyncio.wait_for(copy.caught_up(alone.revision), 5)
                assert await copy.list() == await alone.list()

    asyncio.run(play())


def test_a_watcher_of_the_copy_sees_what_each_change_replaced() -> None:
    """Changes come commit by commit, with the object as it was before, as the owner's watchers see them."""

    async def play() -> None:
        owner = MemoryStore()
        await owner.commit([put("a", x=1)])
        async with follower(owner) as copy:
            ours, theirs = copy.watch(copy.revision), owner.watch(owner.revision)
            await owner.commit([put("a", x=2), put("a", x=3), drop("a"), put("b")])
            await copy.commit([put("b", x=4)])
            for _ in range(2):
                seen = await asyncio.wait_for(anext(ours), 5)
                assert tuple(seen) == tuple(await anext(theirs))

    asyncio.run(play())


def test_what_is_written_through_the_copy_is_read_there_at_once() -> None:
    """A commit returns when the copy has it, though others wrote meanwhile."""

    async def play() -> None:
        owner = MemoryStore()
        async with follower(owner) as copy:

            async def write(number: int) -> None:
                (stored,) = await copy.commit([put(f"s{number}")])
                assert await copy.get(key(f"s{number}")) == stored

            await asyncio.gather(*(write(number) for number in range(20)))

    asyncio.run(play())
