"""What is supervised ends when it is told to, even if it fails at that very moment."""

import asyncio

from plait.aio.supervise import supervise


def test_a_cancellation_that_meets_a_failure_is_not_lost() -> None:
    """Python 3.11 drops the cancellation of a task whose group has just failed; the work was then started again."""
    starts: list[int] = []

    async def fail() -> None:
        asyncio.get_running_loop().call_soon(running.cancel)
        raise ValueError("by a bug")

    async def work() -> None:
        starts.append(1)
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())

    async def scenario() -> None:
        nonlocal running
        running = asyncio.create_task(supervise("work", work))
        await asyncio.wait({running}, timeout=2.0)
        assert running.cancelled()

    running: asyncio.Task[None]
    asyncio.run(scenario())
    assert starts == [1]
