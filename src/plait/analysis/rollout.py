"""Whether a new version may take more requests: a comparison of what callers felt of it and of the old one.

Failures: the new version is worse when its share of failed requests is greater than the old one's by more than the
margin, and that cannot well be chance: the lower end of Newcombe's interval for the difference of two shares, made of
two Wilson intervals, is above the margin. Such an interval is right for few requests and for shares near 0, where these
live; the plain normal approximation is not. What is worse by more than the margin but may be chance is watched on.

Durations: medians are compared, and the 99th percentiles once both versions have enough requests for them to be more
than the slowest request seen. Differences of a few milliseconds are within a bucket of the histogram and do not count.

Sources: E. B. Wilson, J. Am. Stat. Assoc. 22 (1927) 209; R. G. Newcombe, Statistics in Medicine 17 (1998) 873,
method 10.
"""

from dataclasses import dataclass
from enum import StrEnum
from math import sqrt
from typing import Final

CERTAINTY: Final = 1.96
"""Standard deviations of each Wilson interval: one in forty such differences is chance."""
EARLY_FAILURES: Final = 5
"""Failed requests from which a step may end before the wanted number of requests was seen."""
TAIL_REQUESTS: Final = 100
"""Requests from which a 99th percentile says more than a maximum."""
LEAST_DELAY: Final = 5.0
"""Milliseconds by which the new version must be slower to be called slower."""


class Verdict(StrEnum):
    """What follows."""

    GO_ON = "go on"
    WAIT = "wait"
    ROLL_BACK = "roll back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What callers felt of one version during a step."""

    requests: int = 0
    failed: int = 0
    """Requests answered with a status of 500 and above, or not at all."""
    p50: float | None = None
    """Median duration in milliseconds."""
    p99: float | None = None
    """99th percentile of the durations in milliseconds."""

    @property
    def error_rate(self) -> float:
        """Share of requests that failed, 0 to 1."""
        return self.failed / self.requests if self.requests else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """What the new version must keep to."""

    max_error_difference: float = 0.01
    """How much greater its share of failed requests may be, 0 to 1."""
    max_latency_ratio: float = 1.5
    """How many times slower it may be."""
    min_requests: int = 20
    """Requests of each version without which a step does not end well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What follows, and the sentence that says why."""

    verdict: Verdict
    reason: str


def decide(old: Figures, new: Figures, guard: Guard, *, complete: bool, expired: bool = False) -> Decision:
    """What follows from a step's figures. `complete`: its time is over; `expired`: nobody waits any longer."""
    difference = new.error_rate - old.error_rate
    too_many = difference > guard.max_error_difference
    judged = new.requests >= guard.min_requests or new.failed >= EARLY_FAILURES
    if judged and least_difference(old, new) > guard.max_error_difference:
        return Decision(verdict=Verdict.ROLL_BACK, reason=_more_errors(old, new, guard))
    if min(new.requests, old.requests) < guard.min_requests:
        return Decision(verdict=Verdict.WAIT, reason=_too_few(old, new, guard))
    if too_many:
        verdict = Verdict.ROLL_BACK if expired else Verdict.WAIT
        told = "and time is up" if expired else "which may be chance: more requests are needed"
        return Decision(verdict=verdict, reason=f"{_more_errors(old, new, guard)}, {told}")
    if not complete:
        return Decision(verdict=Verdict.WAIT, reason="the step's time is not over")
    if slower := _slower(old, new, guard):
        return Decision(verdict=Verdict.ROLL_BACK, reason=slower)
    return Decision(verdict=Verdict.GO_ON, reason="the new version keeps to the guard")


def least_difference(old: Figures, new: Figures) -> float:
    """By how much more of the new version's requests fail at least, as far as their numbers tell; below 0: unknown."""
    lowest, _ = wilson(new.failed, new.requests)
    _, highest = wilson(old.failed, old.requests)
    difference = new.error_rate - old.error_rate
    return difference - sqrt((new.error_rate - lowest) ** 2 + (highest - old.error_rate) ** 2)


def wilson(failed: int, requests: int) -> tuple[float, float]:
    """The interval that the true share of failures lies in, 0 to 1."""
    if not requests:
        return 0.0, 1.0
    share, square = failed / requests, CERTAINTY**2
    middle = share + square / (2 * requests)
    half = CERTAINTY * sqrt(share * (1 - share) / requests + square / (4 * requests**2))
    return max(0.0, (middle - half) / (1 + square / requests)), min(1.0, (middle + half) / (1 + square / requests))


def _more_errors(old: Figures, new: Figures, guard: Guard) -> str:
    return (
        f"{new.failed} of {new.requests} requests to the new version failed ({_percent(new.error_rate)}),"
        f" and {old.failed} of {old.requests} to the old one ({_percent(old.error_rate)});"
        f" allowed is a difference of {_percent(guard.max_error_difference)}"
    )


def _too_few(old: Figures, new: Figures, guard: Guard) -> str:
    return (
        f"too few requests: {new.requests} to the new version and {old.requests} to the old one,"
        f" {guard.min_requests} of each are needed"
    )


def _slower(old: Figures, new: Figures, guard: Guard) -> str:
    """The sentence that says that the new version is too slow; empty if it is not."""
    pairs = [("half", old.p50, new.p50)]
    if min(old.requests, new.requests) >= TAIL_REQUESTS:
        pairs.append(("99 in 100", old.p99, new.p99))
    for share, before, now in pairs:
        if before is None or now is None or now - before < LEAST_DELAY:
            continue
        if now > before * guard.max_latency_ratio:
            return (
                f"{share} of the requests to the new version took up to {now:.1f} ms, to the old one {before:.1f} ms;"
                f" allowed is {guard.max_latency_ratio:g} times as long"
            )
    return ""


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"
