"""How long to wait before trying again: doubling, limited, and jittered so that many do not come at once."""

from collections.abc import Callable, Iterator
from random import random


def backoff(first: float = 0.1, limit: float = 1.0, *, chance: Callable[[], float] = random) -> Iterator[float]:
    """Waiting times without end, each between half of and the whole of the doubled, limited one."""
    wait = first
    while True:
        yield wait * (0.5 + chance() / 2)
        wait = min(wait * 2, limit)
