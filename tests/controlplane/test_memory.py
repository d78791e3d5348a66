"""Memory that a burst has left free goes back to the system."""

import asyncio
import platform

import psutil
import pytest

from plait.controlplane.memory import EVERY, keep_trimmed

LEFT = 40_000_000


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can give memory back when told to")
def test_what_a_burst_leaves_is_given_back_at_the_next_turn() -> None:
    """Blocks that are free between others that are still used stay with the process until it gives them back."""
    process = psutil.Process()
    blocks = [bytes(3000) for _ in range(20_000)]
    used = blocks[::50]
    blocks.clear()
    seen: list[tuple[float, int]] = []

    async def rest(seconds: float) -> None:
        seen.append((seconds, process.memory_info().rss))
        if len(seen) == 2:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(keep_trimmed(rest))

    (waited, before), (_, after) = seen
    assert waited == EVERY
    assert before - after > LEFT
    assert len(used) == 400
