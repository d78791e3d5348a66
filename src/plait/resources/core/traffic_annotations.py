"""What no standard has a field for: annotations `traffic.plait.dev/*` on a Service, checked like any field."""

import difflib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from plait.resources.schema import Finding, when

PREFIX: Final = "traffic.plait.dev/"
CALLER_IDENTITY: Final = f"{PREFIX}caller-identity"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """An annotation: what it does, what may be written, and a check that gives what is wrong with a value."""

    meaning: str
    values: str
    wrong: Callable[[str], str]


def _one_of(*values: str) -> Callable[[str], str]:
    wanted = ", ".join(f'"{value}"' for value in values)
    return lambda text: "" if text in values else f'Unsupported value: "{text}": supported values: {wanted}'


SETTINGS: Final[Mapping[str, Setting]] = {
    CALLER_IDENTITY: Setting(
        meaning="the app is told who calls, in `x-forwarded-client-cert`",
        values="`header`",
        wrong=_one_of("header"),
    ),
}
"""Every annotation that Plait reads on a Service."""


def broken(annotations: Mapping[str, str]) -> Iterator[Finding]:
    """What is wrong with the traffic annotations of a Service."""
    for name in sorted(annotations):
        if not name.startswith(PREFIX):
            continue
        setting = SETTINGS.get(name)
        near = difflib.get_close_matches(name, SETTINGS, n=1)
        hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(SETTINGS)}"
        problem = setting.wrong(annotations[name]) if setting else f"unknown annotation{hint}"
        yield from when(bool(problem), problem, "metadata", "annotations", name)


def tells_caller(annotations: Mapping[str, str]) -> bool:
    """Whether apps behind the Service are told who calls."""
    return annotations.get(CALLER_IDENTITY) == "header"
