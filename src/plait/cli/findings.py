"""What an examination found."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one look found: `remedy` says what to do unless the state is ok."""

    check: str
    state: State
    detail: str
    remedy: str = ""


def problem(check: str, detail: str, remedy: str) -> Finding:
    """Something is wrong: where and what, and how to mend it."""
    return Finding(check=check, state="problem", detail=detail, remedy=remedy)


def warning(check: str, detail: str, remedy: str) -> Finding:
    """Something is worth a word, but no failure."""
    return Finding(check=check, state="warning", detail=detail, remedy=remedy)


def fine(check: str, detail: str) -> Finding:
    """All is well there."""
    return Finding(check=check, state="ok", detail=detail)
