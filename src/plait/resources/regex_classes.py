"""Escapes and character classes of RE2, as Envoy uses it (on bytes): where they end, and about how large they are."""

import re

_HEX = re.compile(r"x(?:([0-9a-fA-F]{2})|\{([0-9a-fA-F]{1,8})\})")
_PROPERTY = re.compile(r"[pP](?:\{\^?([A-Za-z_]+)\}|([A-Z]))")
_OCTAL = re.compile(r"0[0-7]{0,2}|[1-7][0-7]{1,2}")
_NAMED_CLASS = re.compile(r"\[:\^?([a-z]+):\]")
_NAMES = frozenset(
    {"alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph"}
    | {"lower", "print", "punct", "space", "upper", "word", "xdigit"}
)
_CATEGORY = re.compile(r"Any|C[cfo]?|L[lmotu]?|M[cen]?|N[dlo]?|P[cdefios]?|S[ckmo]?|Z[lps]?")
_SCRIPTS = frozenset(
    {"Arabic", "Armenian", "Bengali", "Common", "Cyrillic", "Devanagari", "Georgian", "Greek", "Han", "Hangul"}
    | {"Hebrew", "Hiragana", "Inherited", "Katakana", "Latin", "Tamil", "Thai"}
)
_LARGEST = 0xFF
_CONTROL = {"a": 7, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11}
_SETS = frozenset("dDsSwW")
_OUTSIDE_CLASS = frozenset("AbBzC")
_SET_SIZE = 6
_PROPERTY_SIZE = 24


class MistakeError(Exception):
    """The first mistake in a regular expression."""


def read_escape(text: str, at: int, *, inside: bool) -> tuple[int, int]:
    """The end and size of an escape whose backslash is before `at`."""
    end, _, size = _escape(text, at, inside=inside)
    return end, size


def _escape(text: str, at: int, *, inside: bool) -> tuple[int, int | None, int]:
    """End, character (None for a set) and size."""
    character = text[at : at + 1]
    if not character:
        raise MistakeError("trailing \\")
    if character in "0123456789":
        return _octal(text, at)
    if character == "x":
        return _code(text, at)
    if character in "pP":
        return _property(text, at)
    if character in _SETS or (not inside and character in _OUTSIDE_CLASS):
        return at + 1, None, _SET_SIZE
    if character in _CONTROL or (character.isascii() and not character.isalnum()):
        return at + 1, _CONTROL.get(character, ord(character)), 1
    raise MistakeError(f"unknown escape \\{character}")


def _octal(text: str, at: int) -> tuple[int, int, int]:
    match = _OCTAL.match(text, at)
    if match is None:
        raise MistakeError(f"\\{text[at]} is a backreference, which RE2 does not have")
    return match.end(), _byte(int(match[0], 8), match[0]), 1


def _code(text: str, at: int) -> tuple[int, int, int]:
    match = _HEX.match(text, at)
    if match is None:
        raise MistakeError(f"unknown escape \\{text[at : at + 3]}")
    return match.end(), _byte(int(match[1] or match[2], 16), match[0]), 1


def _byte(code: int, written: str) -> int:
    if code > _LARGEST:
        raise MistakeError(f"\\{written} is no byte (Envoy matches bytes: write the character itself)")
    return code


def _property(text: str, at: int) -> tuple[int, None, int]:
    match = _PROPERTY.match(text, at)
    name = (match[1] or match[2]) if match else ""
    if match is None or not (name in _SCRIPTS or _CATEGORY.fullmatch(name)):
        raise MistakeError(f"unknown character class \\{match[0] if match else text[at : at + 3]}")
    return match.end(), None, _PROPERTY_SIZE


def read_class(text: str, start: int) -> tuple[int, int]:
    """The end and size of a character class that opens at `start`."""
    at = start + 2 if text.startswith("^", start + 1) else start + 1
    first, size = True, 4
    while first or not text.startswith("]", at):
        end, low, member_size = _member(text, at)
        if low is not None and text.startswith("-", end) and text[end + 1 : end + 2] not in ("]", ""):
            high_end, high, _ = _member(text, end + 1)
            if high is None or high < low:
                raise MistakeError(f"bad character range {text[at:high_end]}")
            end = high_end
        first, at, size = False, end, size + member_size
    return at + 1, size


def _member(text: str, at: int) -> tuple[int, int | None, int]:
    """End, character (None for a set) and size of a member of a class."""
    if at >= len(text):
        raise MistakeError("missing closing ]")
    named = _NAMED_CLASS.match(text, at)
    if named:
        if named[1] not in _NAMES:
            raise MistakeError(f"unknown character class {named[0]}")
        return named.end(), None, _SET_SIZE
    if text[at] == "\\":
        return _escape(text, at + 1, inside=True)
    return at + 1, ord(text[at]), 2
