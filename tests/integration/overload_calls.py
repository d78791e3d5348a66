"""Calls to a service that cannot keep up, run inside a workload. Standard library only; knows of no mesh.

usage: python overload_calls.py HOST SECONDS DEADLINE (rate|workers) NUMBER

`rate`: so many calls a second, whatever becomes of them (open loop); `workers`: so many callers, each with one call
after the other (closed loop). Each call has a connection of its own, and is given up after DEADLINE seconds. Prints a
line of JSON: calls made, good ones (200 in time), shed ones by reason, late ones, and others by what they were. The
first two seconds are not counted.
"""

import asyncio
import json
import sys
import time
from collections import Counter

WARM_UP = 2.0
REQUEST = b"GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n"


async def call(host: str) -> str:
    """One call: `good`, `shed REASON`, or what else was answered."""
    reader, writer = await asyncio.open_connection(host, 80)
    try:
        writer.write(REQUEST % host.encode())
        answer = (await reader.read()).decode(errors="replace")
    finally:
        writer.close()
    status = answer[9:12]
    if status == "200":
        return "good"
    head = answer.partition("\r\n\r\n")[0].lower()
    return f"shed {head.partition('x-plait-shed: ')[2].partition(chr(13))[0]}" if "x-plait-shed" in head else status


class Run:
    """The calls of one run and what became of those that count."""

    def __init__(self, host: str, seconds: float, deadline: float) -> None:
        self.host = host
        self.deadline = deadline
        self.begin = time.monotonic() + WARM_UP
        self.end = self.begin + seconds
        self.seen: Counter[str] = Counter()

    async def one(self) -> None:
        """Make a call and count it, if it was begun in the time that counts."""
        counts = self.begin <= time.monotonic() < self.end
        try:
            found = await asyncio.wait_for(call(self.host), self.deadline)
        except TimeoutError:
            found = "late"
        except OSError as error:
            found = type(error).__name__
        if counts:
            self.seen[found] += 1

    async def at_rate(self, rate: float) -> None:
        """Calls at fixed times."""
        under_way: set[asyncio.Task[None]] = set()
        began, number = time.monotonic(), 0
        while time.monotonic() < self.end:
            task = asyncio.create_task(self.one())
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            number += 1
            await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
        await asyncio.gather(*under_way)

    async def by_workers(self, workers: int) -> None:
        """Each worker calls again when it has its answer."""

        async def work() -> None:
            while time.monotonic() < self.end:
                await self.one()

        await asyncio.gather(*(work() for _ in range(workers)))


def main() -> None:
    """Make the calls and print."""
    host, seconds, deadline, how, number = sys.argv[1:]
    run = Run(host, float(seconds), float(deadline))
    asyncio.run(run.at_rate(float(number)) if how == "rate" else run.by_workers(int(number)))
    sys.stdout.write(json.dumps({"calls": sum(run.seen.values()), **run.seen}) + "\n")


if __name__ == "__main__":
    main()
