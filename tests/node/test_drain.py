"""The order of leaving, on a clock that does not wait."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from plait.errors import UnreachableError
from plait.node.drain import SETTLE, Drained, drain


@dataclass
class FakeInbound:
    """A sidecar whose connections end at given times."""

    ends: list[float] = field(default_factory=list[float])
    ever: int = 0
    dead: bool = False
    now: float = 0.0
    events: list[str] = field(default_factory=list[str])

    async def connections(self) -> tuple[int, int]:
        if self.dead:
            raise UnreachableError("no answer")
        return sum(end > self.now for end in self.ends), self.ever or len(self.ends)

    async def ask_to_leave(self) -> None:
        self.events.append(f"leave@{self.now:.2f}")

    async def sleep(self, seconds: float) -> None:
        self.now += seconds

    async def withdraw(self) -> None:
        self.events.append(f"withdraw@{self.now:.2f}")


def drained(
    inbound: FakeInbound, *, grace: float = 5.0, withdraw: Callable[[], Awaitable[None]] | None = None
) -> Drained:
    work = drain(inbound, withdraw or inbound.withdraw, grace=grace, sleep=inbound.sleep, clock=lambda: inbound.now)
    return asyncio.run(work)


def test_endpoint_is_taken_back_first_and_requests_finish() -> None:
    """Callers are told, get time to acknowledge, and what is in flight ends before anything else."""
    inbound = FakeInbound(ends=[1.5])
    result = drained(inbound)
    assert inbound.events == ["withdraw@0.00", f"leave@{SETTLE:.2f}"]
    assert 1.5 <= result.seconds < 1.6
    assert result.left == 0


def test_nobody_called_nothing_to_wait_for() -> None:
    """A workload that nobody ever called ends at once."""
    inbound = FakeInbound()
    assert drained(inbound) == Drained(seconds=0.0, left=0)
    assert inbound.events == ["withdraw@0.00"]


def test_grace_bounds_the_wait() -> None:
    """A connection that stays is left behind when the grace is over."""
    result = drained(FakeInbound(ends=[100.0]), grace=2.0)
    assert result.left == 1
    assert 2.0 <= result.seconds < 2.2


def test_dead_sidecar_and_absent_control_only_shorten_it() -> None:
    """Neither keeps a workload from ending."""

    async def away() -> None:
        raise UnreachableError("control is away")

    assert drained(FakeInbound(dead=True), withdraw=away).left == 0
