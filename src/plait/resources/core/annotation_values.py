"""What annotations are read with: a setting, and the readers that several of them share."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from plait.model.protection import Quota, RateLimit
from plait.resources.formats import duration_seconds

PREFIX: Final = "traffic.plait.dev/"
_SHOWN: Final = 60
"""Characters of a wrong value that its violation repeats."""

Quotas = tuple[tuple[str, tuple[Quota, ...]], ...]
"""Quotas by what they are of: a header, a path, or nothing."""
Value = str | int | float | bool | RateLimit | Quotas | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """An annotation: what it does, what may be written, and its reader, which raises ValueError."""

    meaning: str
    values: str
    read: Callable[[str], Value]


def short(text: str) -> str:
    """A wrong value as its violation repeats it."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def word(*wanted: str) -> Callable[[str], str]:
    """A reader of one of these words."""

    def read(text: str) -> str:
        if text not in wanted:
            values = ", ".join(f'"{item}"' for item in wanted)
            raise ValueError(f'Unsupported value: "{short(text)}": supported values: {values}')
        return text

    return read


def duration(text: str) -> float:
    """A duration in seconds."""
    seconds = duration_seconds(text)
    if seconds is None or not 0.001 <= seconds <= 86400:
        raise ValueError(f'Invalid value: "{short(text)}": must be a duration from 1ms to 24h, like "5s" or "250ms"')
    return seconds
