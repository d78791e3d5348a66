"""Status conditions in the standards' words.

A refusal is data: the reason is one of Gateway API's constants, the message says what is wrong and how to mend it.
Nothing here decides; the modules that attach and resolve do.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from plait.model.snapshot import Condition

ACCEPTED = "Accepted"
RESOLVED_REFS = "ResolvedRefs"
PARTIALLY_INVALID = "PartiallyInvalid"
PROGRAMMED = "Programmed"
CONFLICTED = "Conflicted"
OVERLAPPING = "OverlappingTLSConfig"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why something does not hold: the standard's reason and a sentence."""

    reason: str
    message: str


def holds(kind: str, message: str = "", *, reason: str = "") -> Condition:
    """A condition that is True; its reason is its type unless another one is given."""
    return Condition(type=kind, status="True", reason=reason or kind, message=message)


def fails(kind: str, reason: str, message: str) -> Condition:
    """A condition that is False."""
    return Condition(type=kind, status="False", reason=reason, message=message)


def checked(kind: str, problems: Sequence[Problem]) -> Condition:
    """The condition: True without problems, else False with the first one's reason and every message."""
    if not problems:
        return holds(kind)
    return fails(kind, problems[0].reason, sentences(problem.message for problem in problems))


def partially_invalid(problems: Sequence[Problem], prefix: str = "") -> tuple[Condition, ...]:
    """The PartiallyInvalid condition, which exists only where it is True; routes want a prefix for its message."""
    if not problems:
        return ()
    message = prefix + sentences(problem.message for problem in problems)
    return (holds(PARTIALLY_INVALID, message, reason=problems[0].reason),)


def sentences(messages: Iterable[str]) -> str:
    """The messages in one line, each once, in order."""
    return ". ".join(dict.fromkeys(messages))
