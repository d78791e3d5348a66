"""Whether a text is a regular expression that Envoy accepts (RE2's syntax, which is not Python's).

RE2 has no lookaround, no backreferences and no possessive or atomic groups, and bounds counted repetition; Envoy has
it match bytes and refuses programs above a size. This reads the syntax of https://github.com/google/re2/wiki/Syntax
with a stack of open groups and reports the first mistake; in doubt it refuses. Classes and escapes: `regex_classes`.
"""

import re
from dataclasses import dataclass, field

from plait.resources.regex_classes import MistakeError, read_class, read_escape

MAX_REPEAT = 1000
"""Most repetitions RE2 takes, nested ones multiplied."""
MAX_SIZE = 4000
"""Largest program, estimated high; our bootstrap sets Envoy's limit to 4096 (`re2.max_program_size`)."""
_MAX_DEPTH = 250
_REPEAT = re.compile(r"\{(\d+)(?:(,)(\d*))?\}", re.ASCII)
_GROUP_NAME = re.compile(r"\?P?<([^>]*)>")
_FLAGS = re.compile(r"\?([imsU]*(?:-[imsU]+)?)([:)])")
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


@dataclass(slots=True)
class _Group:
    """An open group: the most repetitions of a part in it, and the size of its program."""

    repeats: int = 1
    size: int = 1


@dataclass(slots=True)
class _Scan:
    """Where the reader is. `repeats` and `size` are those of the last part."""

    text: str
    at: int = 0
    repeatable: bool = False
    repeated: bool = False
    repeats: int = 1
    size: int = 0
    groups: list[_Group] = field(default_factory=lambda: [_Group()])


def regex_problem(pattern: str) -> str:
    """What is wrong with a regular expression in RE2's syntax; empty if nothing is."""
    scan = _Scan(pattern)
    try:
        while scan.at < len(pattern):
            _step(scan)
            if scan.groups[-1].size > MAX_SIZE:
                return "is too large"
    except MistakeError as mistake:
        return str(mistake)
    return "missing closing )" if len(scan.groups) > 1 else ""


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
        _no_part(scan, scan.at + 1)
    else:
        _character(scan, character)


def _character(scan: _Scan, character: str) -> None:
    if scan.text.startswith(r"\Q", scan.at):
        _quoted(scan)
    elif character == "[":
        _part(scan, *read_class(scan.text, scan.at))
    elif character == "\\":
        _part(scan, *read_escape(scan.text, scan.at + 1, inside=False))
    else:
        _part(scan, scan.at + 1, len(character.encode(errors="replace")))


def _part(scan: _Scan, end: int, size: int) -> None:
    scan.at = end
    scan.repeatable, scan.repeated, scan.repeats, scan.size = True, False, 1, size
    scan.groups[-1].size += size


def _no_part(scan: _Scan, end: int) -> None:
    scan.at = end
    scan.repeatable = scan.repeated = False
    scan.groups[-1].size += 1


def _quoted(scan: _Scan) -> None:
    closing = scan.text.find(r"\E", scan.at)
    closing = len(scan.text) if closing < 0 else closing
    size = closing - scan.at - 2
    if size:
        _part(scan, min(closing + 2, len(scan.text)), size)
    else:
        _no_part(scan, min(closing + 2, len(scan.text)))


def _repeat(scan: _Scan, end: int, count: int) -> None:
    operator = scan.text[scan.at : end]
    if not scan.repeatable:
        raise MistakeError(f"missing argument to repetition operator {operator}")
    if scan.repeated:
        raise MistakeError(f"bad repetition operator {operator} after another one (RE2 has no possessive repetition)")
    group = scan.groups[-1]
    scan.repeats *= count
    if scan.repeats > MAX_REPEAT:
        raise MistakeError(f"repeats more than {MAX_REPEAT} times")
    group.repeats = max(group.repeats, scan.repeats)
    group.size += (scan.size + 1) * count - scan.size + 1
    scan.at = end + 1 if scan.text[end : end + 1] == "?" else end
    scan.repeated = True


def _count(match: re.Match[str]) -> int:
    if len(match[0]) > 12:
        raise MistakeError(f"repeats more than {MAX_REPEAT} times")
    low = int(match[1])
    high = int(match[3]) if match[3] else low
    if high < low:
        raise MistakeError(f"bad repetition {match[0]}: the first number is the larger one")
    return high or 2


def _open(scan: _Scan) -> None:
    rest = scan.text[scan.at + 1 : scan.at + 4]
    for start, what in _LOOKAROUND.items():
        if rest.startswith(start):
            raise MistakeError(f"({start} is {what}, which RE2 does not have")
    for start, what in _OTHER_GROUPS.items():
        if rest.startswith(start):
            raise MistakeError(f"({start} belongs to {what}, which RE2 does not have")
    end, opens = _special_group(scan.text, scan.at + 1) if rest.startswith("?") else (scan.at + 1, True)
    _no_part(scan, end)
    if opens:
        scan.groups.append(_Group())
    if len(scan.groups) > _MAX_DEPTH:
        raise MistakeError("groups are nested too deeply")


def _special_group(text: str, start: int) -> tuple[int, bool]:
    """The end of what follows `(`, and whether a group opens there (or only flags are set)."""
    name = _GROUP_NAME.match(text, start)
    if name:
        if not re.fullmatch(r"\w+", name[1], re.ASCII):
            raise MistakeError(f"bad group name {name[1]!r}")
        return name.end(), True
    flags = _FLAGS.match(text, start)
    if flags is None:
        raise MistakeError("missing or unknown flags after (?")
    return flags.end(), flags[2] == ":"


def _close(scan: _Scan) -> None:
    if len(scan.groups) == 1:
        raise MistakeError("unexpected )")
    inner = scan.groups.pop()
    _part(scan, scan.at + 1, inner.size + 1)
    scan.repeats = inner.repeats
    scan.groups[-1].repeats = max(scan.groups[-1].repeats, inner.repeats)
