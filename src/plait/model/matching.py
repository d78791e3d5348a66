"""How one string is compared with what is wanted."""

from dataclasses import dataclass
from enum import StrEnum


class Matching(StrEnum):
    """How a string is compared."""

    EXACT = "exact"
    PREFIX = "prefix"
    """For paths: by whole segments, `/v2` matches `/v2` and `/v2/x`, not `/v2x`."""
    STRING_PREFIX = "string-prefix"
    REGEX = "regex"
    PRESENT = "present"


@dataclass(frozen=True, slots=True, kw_only=True)
class StringMatch:
    """A comparison with one string (RE2 syntax for REGEX, which must match the whole string)."""

    matching: Matching
    value: str = ""
