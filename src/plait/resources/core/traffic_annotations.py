"""What no standard has a field for: annotations `traffic.plait.dev/*` on a Service, checked like any field.

Each annotation has one reader, which gives its value or raises ValueError with what is wrong; `broken` tells all that
is wrong with a Service's annotations, `read` takes a value that was checked before.
"""

import difflib
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Literal

from plait.model.protection import RateLimit
from plait.resources.core import shared_limit_annotations as shared
from plait.resources.core.annotation_values import PREFIX, Setting, Value, duration, short, word
from plait.resources.schema import Finding, when

CALLER_IDENTITY: Final = f"{PREFIX}caller-identity"
MAX_CONNECTIONS: Final = f"{PREFIX}max-connections"
MAX_REQUESTS: Final = f"{PREFIX}max-requests"
MAX_PENDING: Final = f"{PREFIX}max-pending"
RETRY_BUDGET: Final = f"{PREFIX}retry-budget"
EJECT_AFTER_FAILURES: Final = f"{PREFIX}eject-after-failures"
EJECT_AFTER_ERRORS: Final = f"{PREFIX}eject-after-errors"
EJECT_FOR: Final = f"{PREFIX}eject-for"
EJECT_AT_MOST: Final = f"{PREFIX}eject-at-most"
PANIC_BELOW: Final = f"{PREFIX}panic-below"
ADMISSION_CONTROL: Final = f"{PREFIX}admission-control"
KEEP_ALIVE: Final = f"{PREFIX}keep-alive"
CONCURRENCY: Final = f"{PREFIX}concurrency"
QUEUE: Final = f"{PREFIX}queue"
USUAL_LATENCY: Final = f"{PREFIX}usual-latency"
RATE_LIMIT: Final = f"{PREFIX}rate-limit"
BURST: Final = f"{PREFIX}burst"

_MOST: Final = 1_000_000_000
_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0}
_RATE: Final = re.compile(r"([1-9][0-9]{0,8})/([smh])")


def _is_number(text: str) -> bool:
    """Whether a text is digits, and few enough that Python makes a number of them."""
    return text.isascii() and text.isdigit() and len(text) <= len(str(_MOST))


def _count(text: str) -> int:
    if not (_is_number(text) and 0 < int(text) <= _MOST):
        raise ValueError(f'Invalid value: "{short(text)}": must be a whole number from 1 to {_MOST}, in quotes')
    return int(text)


def _count_or(word: str) -> Callable[[str], int | str]:
    def read(text: str) -> int | str:
        if text == word:
            return word
        try:
            return _count(text)
        except ValueError:
            raise ValueError(f'Invalid value: "{short(text)}": must be "{word}" or a whole number, like "5"') from None

    return read


def _percent(text: str) -> int:
    number = text.removesuffix("%")
    if not (text.endswith("%") and _is_number(number) and 0 < int(number) <= 100):
        raise ValueError(f'Invalid value: "{short(text)}": must be whole per cent from 1% to 100%')
    return int(number)


def _rate(text: str) -> RateLimit:
    found = _RATE.fullmatch(text)
    if found is None:
        raise ValueError(f'Invalid value: "{short(text)}": must be a number per second, minute or hour, like "100/s"')
    count, per = int(found[1]), _UNITS[found[2]]
    return RateLimit(count=count, per=per, burst=max(1, math.ceil(count / per)))


_A_NUMBER: Final = 'a number like `"100"`'
SETTINGS: Final[Mapping[str, Setting]] = {
    CALLER_IDENTITY: Setting(
        meaning="the app is told who calls, in `x-forwarded-client-cert`", values="`header`", read=word("header")
    ),
    CONCURRENCY: Setting(
        meaning="requests (of ports without HTTP: connections) that each instance works on at a time; what is beyond"
        " them and the queue gets 503. `adaptive` finds the number from the app's latency",
        values='a number like `"8"`, or `adaptive`',
        read=_count_or("adaptive"),
    ),
    QUEUE: Setting(
        meaning="requests that wait at each instance while `concurrency` are worked on (HTTP/1.1); as many if left out",
        values=_A_NUMBER,
        read=_count,
    ),
    USUAL_LATENCY: Setting(
        meaning="for `concurrency: adaptive`: the median answer time without load; measured now and then if left out",
        values="`20ms`",
        read=duration,
    ),
    RATE_LIMIT: Setting(
        meaning="requests (without HTTP: new connections) that each instance takes; others get 429 (are closed)",
        values='`"100/s"`, `"600/m"`, `"5000/h"`',
        read=_rate,
    ),
    BURST: Setting(
        meaning="how many of `rate-limit` may come at once; those of one second if left out",
        values=_A_NUMBER,
        read=_count,
    ),
    MAX_CONNECTIONS: Setting(
        meaning="connections that each caller's sidecar keeps to each service port", values=_A_NUMBER, read=_count
    ),
    MAX_REQUESTS: Setting(
        meaning="requests that each caller may have under way; others get 503 at once", values=_A_NUMBER, read=_count
    ),
    MAX_PENDING: Setting(
        meaning="requests that may wait for a connection at each caller; others get 503 at once",
        values=_A_NUMBER,
        read=_count,
    ),
    RETRY_BUDGET: Setting(
        meaning="retries of each caller, in per cent of its requests under way (3 are always allowed)",
        values="`20%`",
        read=_percent,
    ),
    ADMISSION_CONTROL: Setting(
        meaning="each instance's sidecar holds requests back, with 503, as far as the app fails (5xx) to answer others",
        values='`"on"`',
        read=word("on"),
    ),
    EJECT_AFTER_FAILURES: Setting(
        meaning="an endpoint that a caller fails to connect to so many times in a row is left out for a while",
        values='a number, by default `"20"`, or `"off"`',
        read=_count_or("off"),
    ),
    EJECT_AFTER_ERRORS: Setting(
        meaning="the same after so many answers 502, 503 or 504 in a row", values='a number like `"5"`', read=_count
    ),
    EJECT_FOR: Setting(
        meaning="how long an endpoint is left out the first time; longer each time, up to twelve times as long",
        values="by default `5s`",
        read=duration,
    ),
    EJECT_AT_MOST: Setting(
        meaning="largest share of the endpoints that a caller leaves out; below 100% never the only one",
        values="by default `50%`",
        read=_percent,
    ),
    PANIC_BELOW: Setting(
        meaning="with fewer endpoints in use than this share, the ones left out are used as well",
        values="`30%`; by default never",
        read=_percent,
    ),
    KEEP_ALIVE: Setting(
        meaning="how long the app keeps idle connections open; the mesh closes them at three quarters of that",
        values="by default `2s`",
        read=duration,
    ),
    **shared.SETTINGS,
}
"""Every annotation that Plait reads on a Service."""

_NEEDS: Final[Mapping[str, tuple[str, Literal["a number", "adaptive", "a value"]]]] = {
    QUEUE: (CONCURRENCY, "a number"),
    USUAL_LATENCY: (CONCURRENCY, "adaptive"),
    BURST: (RATE_LIMIT, "a value"),
}
"""Annotations that say nothing without another, and the value of that one that they belong to."""
_ABOUT_EJECTION: Final = (EJECT_FOR, EJECT_AT_MOST, PANIC_BELOW)
"""Annotations that say nothing where no endpoint is ever left out."""


def broken(annotations: Mapping[str, str]) -> Iterator[Finding]:
    """What is wrong with the traffic annotations of a Service."""
    for name in sorted(annotations):
        if name.startswith(PREFIX):
            problem = _problem(name, annotations)
            yield from when(bool(problem), problem, "metadata", "annotations", name)


def _problem(name: str, annotations: Mapping[str, str]) -> str:
    setting = SETTINGS.get(name)
    if setting is None:
        near = difflib.get_close_matches(name, SETTINGS, n=1)
        return "unknown annotation" + (f"; did you mean {near[0]}?" if near else f"; known are {', '.join(SETTINGS)}")
    try:
        setting.read(annotations[name])
    except ValueError as error:
        return str(error)
    return _lonely(name, annotations)


def _lonely(name: str, annotations: Mapping[str, str]) -> str:
    if name in shared.ABOUT:
        return "" if shared.LIMITS.keys() & annotations.keys() else f"has no effect without {shared.EVERYBODY}"
    if name in _ABOUT_EJECTION and annotations.get(EJECT_AFTER_FAILURES) == "off":
        none = EJECT_AFTER_ERRORS not in annotations
        return f'has no effect without {EJECT_AFTER_ERRORS}: {EJECT_AFTER_FAILURES} is "off"' if none else ""
    other, wanted = _NEEDS.get(name, ("", ""))
    value = annotations.get(other, "")
    fits = bool(value) and (wanted == "a value" or (value == "adaptive") == (wanted == "adaptive"))
    return "" if not other or fits else f"has no effect without {other} ({wanted})"


def read(annotations: Mapping[str, str], name: str) -> Value:
    """The value of an annotation; None if it is not given, or cannot be read (objects are checked before)."""
    text = annotations.get(name)
    try:
        return None if text is None else SETTINGS[name].read(text)
    except ValueError:
        return None


def tells_caller(annotations: Mapping[str, str]) -> bool:
    """Whether apps behind the Service are told who calls."""
    return read(annotations, CALLER_IDENTITY) == "header"
