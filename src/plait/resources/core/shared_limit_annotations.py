"""Annotations of a Service for the rates that all its instances take together.

    global-rate-limit              20/s, 600/m
    global-rate-limit-per-header   x-user=10/s, x-tenant=1000/m

A limit is a list: of rates, or of `KEY=RATE`. Rates of one key hold together, each of them.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from plait.model.protection import CountedBy, Quota
from plait.resources.core.annotation_values import PREFIX, Quotas, Setting, duration, short, word
from plait.resources.formats import duration_seconds

EVERYBODY: Final = f"{PREFIX}global-rate-limit"
PER_CALLER: Final = f"{EVERYBODY}-per-caller"
PER_ADDRESS: Final = f"{EVERYBODY}-per-address"
PER_HEADER: Final = f"{EVERYBODY}-per-header"
PATHS: Final = f"{EVERYBODY}-paths"
TIMEOUT: Final = f"{EVERYBODY}-timeout"
FAILURE: Final = f"{EVERYBODY}-failure"

LIMITS: Final[Mapping[str, CountedBy]] = {
    PATHS: CountedBy.PATH,
    PER_HEADER: CountedBy.HEADER,
    PER_ADDRESS: CountedBy.ADDRESS,
    PER_CALLER: CountedBy.CALLER,
    EVERYBODY: CountedBy.ALL,
}
"""The narrowest first: who is over a limit of his own takes nothing from what is everybody's."""
ABOUT: Final = (TIMEOUT, FAILURE)
"""Annotations that say nothing without a limit."""
LONGEST_WAIT: Final = 5.0
"""Seconds that a request may wait to be counted."""

_UNITS: Final = {"s": 1, "second": 1, "m": 60, "minute": 60, "h": 3600, "hour": 3600, "d": 86400, "day": 86400}
_RATE: Final = re.compile(rf"([1-9][0-9]{{0,8}})/({'|'.join(_UNITS)})")
_HEADER: Final = re.compile(r"[A-Za-z0-9!#$&'*+.^_`|~-]{1,128}")
_PATH: Final = re.compile(r"/[A-Za-z0-9!$&'()*+:;@._~/-]{0,200}")
_MOST: Final = 16
"""Rates in one annotation: each is counted for every request."""


def _quota(text: str) -> Quota | None:
    found = _RATE.fullmatch(text)
    return None if found is None else Quota(count=int(found[1]), per=_UNITS[found[2]])


def _items(text: str) -> Iterator[str]:
    items = text.split(",")
    if len(items) > _MOST:
        raise ValueError(f'Invalid value: "{short(text)}": at most {_MOST} rates may be given')
    return (item.strip() for item in items)


def _rates(text: str) -> Quotas:
    quotas = [_quota(item) for item in _items(text)]
    if None in quotas:
        raise ValueError(
            f'Invalid value: "{short(text)}": must be rates per s, m, h or d (second, minute, hour, day),'
            ' like "100/s" or "20/s, 600/m"'
        )
    return (("", tuple(quota for quota in quotas if quota)),)


def _rates_of(pattern: re.Pattern[str], what: str, example: str) -> Callable[[str], Quotas]:
    def read(text: str) -> Quotas:
        found: dict[str, list[Quota]] = {}
        for item in _items(text):
            key, _, rate = item.rpartition("=")
            quota = _quota(rate.strip())
            if quota is None or not pattern.fullmatch(key.strip()):
                raise ValueError(f'Invalid value: "{short(item)}": must be {what} with its rate, like "{example}"')
            found.setdefault(key.strip(), []).append(quota)
        return tuple((key, tuple(quotas)) for key, quotas in found.items())

    return read


def _header_rates(text: str) -> Quotas:
    return _rates_of(_HEADER, "a header", "x-user=10/s")(text.lower())


def _wait(text: str) -> float:
    seconds = duration(text)
    if seconds > LONGEST_WAIT:
        raise ValueError(f'Invalid value: "{short(text)}": must be at most {LONGEST_WAIT:g}s: requests wait so long')
    return seconds


_READERS: Final[Mapping[str, Callable[[str], Quotas]]] = {
    EVERYBODY: _rates,
    PER_CALLER: _rates,
    PER_ADDRESS: _rates,
    PER_HEADER: _header_rates,
    PATHS: _rates_of(_PATH, "a path", "/login=5/m"),
}
_A_RATE: Final = '`"100/s"`, or several that hold together, `"20/s, 600/m"`'
SETTINGS: Final[Mapping[str, Setting]] = {
    EVERYBODY: Setting(
        meaning="requests that all instances together take from all callers together, counted by control; others get"
        " 429",
        values=_A_RATE,
        read=_rates,
    ),
    PER_CALLER: Setting(
        meaning="the same for each caller's identity (all who call in plaintext are one)", values=_A_RATE, read=_rates
    ),
    PER_ADDRESS: Setting(
        meaning="the same for each client's address: behind a gateway that of its client, else the caller's",
        values=_A_RATE,
        read=_rates,
    ),
    PER_HEADER: Setting(
        meaning="the same for each value of a header; requests without it are counted together",
        values='`"x-user=10/s"`, several with commas between',
        read=_header_rates,
    ),
    PATHS: Setting(
        meaning="the same for all requests to a path and below it",
        values='`"/login=5/m"`, several with commas between',
        read=_READERS[PATHS],
    ),
    TIMEOUT: Setting(
        meaning="how long a request waits to be counted; up to 5s", values="by default `50ms`", read=_wait
    ),
    FAILURE: Setting(
        meaning="what becomes of requests that are not counted in that time, for example because control is away: they"
        " pass (`allow`) or get 503 (`deny`)",
        values="by default `allow`",
        read=word("allow", "deny"),
    ),
}
"""The annotations of limits that instances share."""


def read_limits(annotations: Mapping[str, str]) -> Iterator[tuple[CountedBy, str, tuple[Quota, ...]]]:
    """The limits, narrowest first: what is counted together, the header or path, and the quotas."""
    for name, counted_by in LIMITS.items():
        value = _checked(annotations, name)
        for of, quotas in value or ():
            yield counted_by, of, quotas


def wait(annotations: Mapping[str, str]) -> float | None:
    """Seconds that a request waits to be counted, if they are given."""
    return duration_seconds(annotations.get(TIMEOUT, ""))


def denies(annotations: Mapping[str, str]) -> bool:
    """Whether requests that are not counted are refused."""
    return annotations.get(FAILURE) == "deny"


def _checked(annotations: Mapping[str, str], name: str) -> Quotas | None:
    """The quotas; None if they are not given or cannot be read (objects are checked before)."""
    text = annotations.get(name)
    try:
        return None if text is None else _READERS[name](text)
    except ValueError:
        return None
