"""What a check says to continuous integration: the same remarks as JUnit XML or SARIF.

JUnit (Jenkins, GitLab): one test case for each subject, which fails with all that was said of it. SARIF 2.1.0 (GitHub,
GitLab): one result for each remark, at its line.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import escape, quoteattr

from plait import __version__

SARIF_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
LEVELS: Final = {"error": "error", "warning": "warning", "info": "note"}
"""SARIF's words for severities."""


class Report(StrEnum):
    """How a check prints what it found."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    JUNIT = "junit"
    SARIF = "sarif"


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """One thing that is wrong: `severity` is error, warning or info; `line` 0 is unknown."""

    code: str
    severity: str
    subject: str
    text: str
    file: str = ""
    line: int = 0

    @property
    def place(self) -> str:
        """FILE:LINE as far as known."""
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One subject that was checked: what it belongs to, its name, and what failed (`failed`) or was remarked of it."""

    suite: str
    name: str
    failed: bool = False
    text: str = ""
    kind: str = ""
    seconds: float = 0.0
    file: str = ""


def cases_of(subjects: Iterable[tuple[str, str]], remarks: Sequence[Remark], *, failing: frozenset[str]) -> list[Case]:
    """A case for each (file, subject), failed if a remark of a failing severity is about it."""
    told: dict[tuple[str, str], list[Remark]] = {place: [] for place in subjects}
    for remark in remarks:
        told.setdefault((remark.file, remark.subject), []).append(remark)
    made: list[Case] = []
    for (file, name), said in told.items():
        worst = [remark for remark in said if remark.severity in failing]
        lines = [_line(remark) for remark in said]
        kind = worst[0].code if worst else ""
        case = Case(suite=file or "-", name=name or file or "-", failed=bool(worst), text="\n".join(lines), kind=kind)
        made.append(case)
    return made


def _line(remark: Remark) -> str:
    return f"{remark.place}: {remark.severity} {remark.code}: {remark.text}".removeprefix(": ")


def junit(tool: str, cases: Sequence[Case]) -> str:
    """The cases as JUnit XML, as Jenkins' schema junit-10.xsd has it."""
    suites: dict[str, list[Case]] = {}
    for case in cases:
        suites.setdefault(case.suite, []).append(case)
    totals = _totals(cases)
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', f"<testsuites name={_quoted(tool)} {totals}>"]
    for name, held in suites.items():
        lines.append(f'  <testsuite name={_quoted(name)} {_totals(held)} skipped="0">')
        lines += [_case(tool, case) for case in held]
        lines.append("  </testsuite>")
    return "\n".join([*lines, "</testsuites>"])


def _totals(cases: Sequence[Case]) -> str:
    failures = sum(case.failed for case in cases)
    return f'tests="{len(cases)}" failures="{failures}" errors="0" time="{sum(case.seconds for case in cases):.3f}"'


def _case(tool: str, case: Case) -> str:
    start = (
        f"    <testcase classname={_quoted(f'{tool}.{_stem(case.suite)}')} name={_quoted(case.name)}"
        f' time="{case.seconds:.3f}"'
    )
    if case.failed:
        first = case.text.partition("\n")[0]
        inside = f"<failure type={_quoted(case.kind or 'failed')} message={_quoted(first)}>{_text(case.text)}</failure>"
        return f"{start}>{inside}</testcase>"
    return f"{start}><system-out>{_text(case.text)}</system-out></testcase>" if case.text else f"{start}/>"


def _stem(name: str) -> str:
    return name.rpartition("/")[2].partition(".")[0] or "input"


def _quoted(text: str) -> str:
    return quoteattr(_clean(text))


def _text(text: str) -> str:
    return escape(_clean(text))


def _clean(text: str) -> str:
    """The text without the characters that XML 1.0 cannot hold."""
    return "".join(letter if letter >= " " or letter in "\t\n" else "?" for letter in text)


def sarif(tool: str, remarks: Sequence[Remark], *, rules: Mapping[str, str]) -> dict[str, Any]:
    """The remarks as a SARIF log; `rules` are the titles of codes."""
    used = sorted({remark.code for remark in remarks})
    driver = {
        "name": f"plait {tool}",
        "version": __version__,
        "rules": [{"id": code, "shortDescription": {"text": rules.get(code, code)}} for code in used],
    }
    results = [_result(remark, used.index(remark.code)) for remark in remarks]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return {"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}


def _result(remark: Remark, index: int) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": remark.code,
        "ruleIndex": index,
        "level": LEVELS[remark.severity],
        "message": {"text": f"{remark.subject}: {remark.text}" if remark.subject else remark.text},
    }
    location: dict[str, Any] = {}
    if remark.file and remark.file != "-":
        region = {"region": {"startLine": remark.line}} if remark.line else {}
        location["physicalLocation"] = {"artifactLocation": {"uri": _uri(remark.file)}, **region}
    if remark.subject:
        location["logicalLocations"] = [{"fullyQualifiedName": remark.subject}]
    return {**result, "locations": [location]} if location else result


def _uri(file: str) -> str:
    """The file as a URI reference: relative to where the command runs, so that repositories find it."""
    path = Path(file)
    if not path.is_absolute():
        return path.as_posix().replace(" ", "%20")
    here = Path.cwd()
    return path.relative_to(here).as_posix().replace(" ", "%20") if path.is_relative_to(here) else path.as_uri()
