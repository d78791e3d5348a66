"""Whether a text is a regular expression that Envoy accepts (RE2's syntax, which is not Python's).

RE2 has no lookaround, no backreferences and no possessive or atomic groups, and bounds counted repetition. This reads
the syntax of https://github.com/google/re2/wiki/Syntax with a stack of open groups and reports the first mistake.
"""

import re
from dataclasses import dataclass, field

MAX_REPEAT = 1000
"""Most repetitions RE2 takes, nested ones multiplied."""
_MAX_DEPTH = 250
_REPEAT = re.compile(r"\{(\d+)(?:(,)(\d*))?\}")
_GROUP_NAME = re.compile(r"\?P?<([^>]*)>")
_FLAGS = re.compile(r"\?([imsU]*(?:-[imsU]+)?)([:)])")
_HEX = re.compile(r"x(?:[0-9a-fA-F]{2}|\{([0-9a-fA-F]+)\})")
_PROPERTY = re.compile(r"[pP](?:\{\^?[A-Za-z_]+\}|[A-Z])")
_NAMED_CLASS = re.compile(r"\[:\^?([a-z]+):\]")
_CLASSES = frozenset(
    {"alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph"}
    | {"lower", "print", "punct", "space", "upper", "word", "xdigit"}
)
_SIMPLE = frozenset("afnrtvdDsSwW")
_OUTSIDE_CLASS = frozenset("AbBzCQE")
_LOOKAROUND = {"?=": "lookahead", "?!": "lookahead", "?<=": "lookbehind", "?<!": "lookbehind"}
_OTHER_GROUPS = {
    "?>": "atomic groups",
    "?P=": "backreferences",
    "?P>": "recursion",
    "?#": "comments",
    "?(": "conditions",
    "?|": "branch resets",
    "?&": "recursion",
    "?R": "recursion",
}


class _MistakeError(Exception):
    """The first mistake found."""


@dataclass(slots=True)
class _Scan:
    """Where the reader is. `size` is how often the last part repeats, nested repetitions multiplied."""

    text: str
    at: int = 0
    repeatable: bool = False
    repeated: bool = False
    size: int = 1
    sizes: list[int] = field(default_factory=lambda: [1])
    names: set[str] = field(default_factory=set[str])


def regex_problem(pattern: str) -> str:
    """What is wrong with a regular expression in RE2's syntax; empty if nothing is."""
    scan = _Scan(pattern)
    try:
        while scan.at < len(pattern):
            _step(scan)
        if len(scan.sizes) > 1:
            return "missing closing )"
    except _MistakeError as mistake:
        return str(mistake)
    return ""


def _step(scan: _Scan) -> None:
    character = scan.text[scan.at]
    if character in "*+?":
        _repeat(scan, scan.at + 1, 1)
    elif character == "{" and (match := _REPEAT.match(scan.text, scan.at)):
        _repeat(scan, match.end(), _count(match))
    elif character == "(":
        _open(scan)
    elif character == ")":
        _close(scan)
    elif character == "|":
        scan.at += 1
        scan.repeatable = scan.repeated = False
    elif character == "[":
        _part(scan, _class(scan.text, scan.at))
    elif character == "\\":
        _part(scan, _escape(scan.text, scan.at + 1, inside=False))
    else:
        _part(scan, scan.at + 1)


def _part(scan: _Scan, end: int) -> None:
    scan.at = end
    scan.repeatable, scan.repeated, scan.size = True, False, 1


def _repeat(scan: _Scan, end: int, count: int) -> None:
    operator = scan.text[scan.at : end]
    if not scan.repeatable:
        raise _MistakeError(f"missing argument to repetition operator {operator}")
    if scan.repeated:
        raise _MistakeError(f"bad repetition operator {operator} after another one (RE2 has no possessive repetition)")
    scan.size *= count
    if scan.size > MAX_REPEAT:
        raise _MistakeError(f"repeats more than {MAX_REPEAT} times")
    scan.sizes[-1] = max(scan.sizes[-1], scan.size)
    if scan.text[end : end + 1] == "?":
        end += 1
    scan.at = end
    scan.repeated = True


def _count(match: re.Match[str]) -> int:
    if len(match[0]) > 12:
        raise _MistakeError(f"repeats more than {MAX_REPEAT} times")
    low = int(match[1])
    high = int(match[3]) if match[3] else low
    if high < low:
        raise _MistakeError(f"bad repetition {match[0]}: the first number is the larger one")
    return max(high, 1)


def _open(scan: _Scan) -> None:
    rest = scan.text[scan.at + 1 : scan.at + 4]
    for start, what in _LOOKAROUND.items():
        if rest.startswith(start):
            raise _MistakeError(f"({start} is {what}, which RE2 does not have")
    for start, what in _OTHER_GROUPS.items():
        if rest.startswith(start):
            raise _MistakeError(f"({start} belongs to {what}, which RE2 does not have")
    end = scan.at + 1
    if rest.startswith("?"):
        end, opens = _special_group(scan)
        if not opens:
            scan.at = end
            scan.repeatable = scan.repeated = False
            return
    scan.sizes.append(1)
    if len(scan.sizes) > _MAX_DEPTH:
        raise _MistakeError("groups are nested too deeply")
    scan.at = end
    scan.repeatable = scan.repeated = False


def _special_group(scan: _Scan) -> tuple[int, bool]:
    """The end of what follows `(`, and whether a group opens there (or only flags are set)."""
    start = scan.at + 1
    name = _GROUP_NAME.match(scan.text, start)
    if name:
        if not re.fullmatch(r"\w+", name[1]):
            raise _MistakeError(f"bad group name {name[1]!r}")
        if name[1] in scan.names:
            raise _MistakeError(f"group name {name[1]!r} is used twice")
        scan.names.add(name[1])
        return name.end(), True
    flags = _FLAGS.match(scan.text, start)
    if flags is None:
        raise _MistakeError("missing or unknown flags after (?")
    if not flags[1] and flags[2] == ")":
        raise _MistakeError("(?) sets no flag")
    return flags.end(), flags[2] == ":"


def _close(scan: _Scan) -> None:
    if len(scan.sizes) == 1:
        raise _MistakeError("unexpected )")
    inner = scan.sizes.pop()
    _part(scan, scan.at + 1)
    scan.size = inner
    scan.sizes[-1] = max(scan.sizes[-1], inner)


def _escape(text: str, at: int, *, inside: bool) -> int:
    """The end of an escape whose backslash is before `at`."""
    if at >= len(text):
        raise _MistakeError("trailing \\")
    character = text[at]
    if character == "Q" and not inside:
        closing = text.find("\\E", at)
        return len(text) if closing < 0 else closing + 2
    if character in "123456789":
        return _octal_or_backreference(text, at)
    if character == "0":
        match = re.compile(r"0[0-7]{0,2}").match(text, at)
        return match.end() if match else at + 1
    if character in "xpP":
        return _code_or_property(text, at)
    known = character in _SIMPLE or (not inside and character in _OUTSIDE_CLASS)
    if known or (character.isascii() and not character.isalnum()):
        return at + 1
    raise _MistakeError(f"unknown escape \\{character}")


def _octal_or_backreference(text: str, at: int) -> int:
    match = re.compile(r"[1-7][0-7]{1,2}").match(text, at)
    if match is None:
        raise _MistakeError(f"\\{text[at]} is a backreference, which RE2 does not have")
    return match.end()


def _code_or_property(text: str, at: int) -> int:
    match = (_HEX if text[at] == "x" else _PROPERTY).match(text, at)
    if match is None:
        raise _MistakeError(f"unknown escape \\{text[at : at + 3]}")
    if text[at] == "x" and match[1] and (len(match[1]) > 8 or int(match[1], 16) > 0x10FFFF):
        raise _MistakeError(f"\\{match[0]} is no character")
    return match.end()


def _class(text: str, start: int) -> int:
    """The end of a character class that opens at `start`."""
    at = start + 2 if text[start + 1 : start + 2] == "^" else start + 1
    first = True
    while True:
        if at >= len(text):
            raise _MistakeError("missing closing ]")
        if text[at] == "]" and not first:
            return at + 1
        end = _class_member(text, at)
        member = text[at:end]
        in_range = text[end : end + 1] == "-" and text[end + 1 : end + 2] not in ("]", "")
        if in_range:
            high_end = _class_member(text, end + 1)
            _check_range(member, text[end + 1 : high_end])
            end = high_end
        first, at = False, end


def _class_member(text: str, at: int) -> int:
    named = _NAMED_CLASS.match(text, at)
    if named:
        if named[1] not in _CLASSES:
            raise _MistakeError(f"unknown character class {named[0]}")
        return named.end()
    if text[at] == "\\":
        return _escape(text, at + 1, inside=True)
    return at + 1


def _check_range(low: str, high: str) -> None:
    if len(low) == 1 and len(high) == 1 and high < low:
        raise _MistakeError(f"bad character range {low}-{high}")
    for side in (low, high):
        if re.match(r"\\[dDsSwWpP]|\[:", side) and len(side) > 1:
            raise _MistakeError(f"bad character range {low}-{high}")
