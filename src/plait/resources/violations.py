"""A user's mistake, as data: where it is, what is wrong and how to mend it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Violation:
    """One mistake. `path` is the field (`spec.rules[0].matches[1].path.value`); `line` counts from 1, 0 is unknown."""

    file: str = ""
    line: int = 0
    resource: str = ""
    path: str = ""
    problem: str
    remedy: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: " if self.line else (f"{self.file}: " if self.file else "")
        subject = " ".join(part for part in (self.resource, self.path) if part)
        remedy = f"; {self.remedy}" if self.remedy else ""
        return f"{place}{subject + ': ' if subject else ''}{self.problem}{remedy}"
