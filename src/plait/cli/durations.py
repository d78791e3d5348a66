"""Durations on the command line: `500ms`, `30s`, `2m`, `1h`, or plain seconds."""

import re

from plait.cli.errors import UsageError

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|)")


def seconds(text: str) -> float:
    """The seconds in a duration."""
    if not (found := _DURATION.fullmatch(text)):
        raise UsageError(f"{text!r} is no duration", "write 500ms, 30s, 2m or 1h")
    return float(found[1]) * _UNITS[found[2]]


def is_duration(text: str) -> bool:
    """Whether that reads as a duration."""
    return _DURATION.fullmatch(text) is not None


def short(value: float) -> str:
    """Seconds as a person reads them."""
    if value < 1:
        return f"{value * 1000:.0f}ms"
    if value < 120:
        return f"{value:.1f}".removesuffix(".0") + "s"
    return f"{value / 60:.0f}m" if value < 7200 else f"{value / 3600:.0f}h"
