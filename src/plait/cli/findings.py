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
