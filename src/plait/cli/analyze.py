"""`plait analyze`: mistakes across objects, from files without a mesh, or in the running mesh.

With files only they count: what they do not hold does not exist. Without, every object of the running mesh is looked
at. The exit code is 1 when an error was found (with `--fail-on warning` or `info` sooner).
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from plait.analysis.analyze import analyze as look
from plait.analysis.findings import Finding, Severity
from plait.analysis.mesh import Mesh
from plait.analysis.messages import MESSAGES
from plait.cli import context, documents, options
from plait.cli.errors import ExitCode
from plait.cli.fields import as_list, as_mapping
from plait.cli.output import counted, note, say
from plait.cli.planned import with_planned
from plait.cli.render import Output, show_value
from plait.cli.reports import Remark, Report, cases_of, junit, sarif
from plait.controlplane.offline import offline_mesh
from plait.resources.parse import read_source
from plait.resources.registry import KINDS
from plait.resources.yaml import Document, Loaded

FilesOrMesh = Annotated[
    list[Path] | None,
    typer.Option(
        "-f", "--file", metavar="PATH", help="A YAML file or a folder; repeatable. Without any: the running mesh."
    ),
]
FailOn = Annotated[Severity, typer.Option("--fail-on", help="The least severity that makes the exit code 1.")]
Suppress = Annotated[
    list[str] | None, typer.Option("--suppress", metavar="CODE", help="Leave out findings of this code; repeatable.")
]


def analyze(
    files: FilesOrMesh = None,
    more: Annotated[list[Path] | None, typer.Argument(metavar="[PATH]...", help="More files and folders.")] = None,
    *,
    fail_on: FailOn = Severity.ERROR,
    suppress: Suppress = None,
    output: options.Report = Report.TABLE,
) -> None:
    """Find mistakes across objects: in files without a mesh, or in the running mesh."""
    offline = bool(files or more)
    loaded = with_planned(documents.read(files or [], more)) if offline else _running()
    findings = [found for found in analyzed(loaded, complete=not offline) if found.message.code not in (suppress or ())]
    if output in (Report.JUNIT, Report.SARIF):
        _show_report(loaded, findings, output, fail_on)
    elif output is Report.TABLE:
        _show_table(loaded, findings)
    else:
        value = {"objects": len(loaded.documents), "findings": [shown(found) for found in findings]}
        show_value(value, Output(output.value))
    if any(found.message.severity.rank <= fail_on.rank for found in findings):
        raise typer.Exit(ExitCode.FOUND)


def analyzed(loaded: Loaded, *, complete: bool) -> tuple[Finding, ...]:
    """Everything that is wrong with what was read."""
    mesh = offline_mesh(loaded.documents)
    subject = Mesh(
        resources=mesh.resources,
        statuses=mesh.builder.statuses,
        now=time.time(),
        complete=complete,
        unread=frozenset(mesh.unread),
    )
    return look(subject, (*loaded.violations, *mesh.violations))


def _running() -> Loaded:
    """Every object of the running mesh, with the file and lines that it was applied from."""
    from plait.cli import kinds
    from plait.errors import NotFoundError

    found: list[Document] = []
    with context.current().client() as client:
        for kind in KINDS:
            try:
                answer = client.get(kinds.place(str(kind), client).path(None, ""))
            except NotFoundError:
                continue
            for item in as_list(answer.get("items")) or ():
                value = {"apiVersion": kind.api_version, "kind": kind.kind, **(as_mapping(item) or {})}
                found.append(_applied(value))
    return Loaded(documents=tuple(found))


def _applied(value: dict[str, Any]) -> Document:
    metadata = as_mapping(value.get("metadata")) or {}
    annotations = as_mapping(metadata.get("annotations")) or {}
    file, lines = read_source(str(annotations.get("plait.dev/source", "")))
    return Document(value=value, file=file, line=lines.get("", 0), lines=lines)


def shown(found: Finding) -> Mapping[str, Any]:
    """A finding as `-o json` prints it."""
    origin, message = found.origin, found.message
    return {
        "code": message.code,
        "istio": list(message.istio),
        "severity": message.severity.value,
        "title": message.title,
        "message": found.sentence,
        "remedy": found.remedy,
        "kind": origin.kind,
        "namespace": origin.namespace,
        "name": origin.name,
        "path": origin.path,
        "file": origin.file,
        "line": origin.line,
    }


def _show_table(loaded: Loaded, findings: Sequence[Finding]) -> None:
    for found in findings:
        origin, message = found.origin, found.message
        place = f"{origin.file}:{origin.line}: " if origin.line else (f"{origin.file}: " if origin.file else "")
        codes = " ".join((message.code, *message.istio[:1]))
        say(f"{place}{message.severity} {codes} {_subject(found)}: {message.title}")
        say(f"    {found.sentence}; {found.remedy}")
    objects = counted(len(loaded.documents), "object")
    numbers = {severity: sum(found.message.severity is severity for found in findings) for severity in Severity}
    said = ", ".join(counted(number, severity.value) for severity, number in numbers.items() if number)
    note(f"{objects}: {said}." if said else f"{objects}, nothing found.")


def _subject(found: Finding) -> str:
    origin = found.origin
    name = "/".join(part for part in (origin.namespace, origin.name) if part)
    return " ".join(part for part in (origin.kind, name, origin.path) if part)


def _show_report(loaded: Loaded, findings: Sequence[Finding], output: Report, fail_on: Severity) -> None:
    remarks = [remark(found) for found in findings]
    if output is Report.SARIF:
        titles = {message.code: message.title for message in MESSAGES}
        show_value(sarif("analyze", remarks, rules=titles), Output.JSON)
        return
    failing = frozenset(severity.value for severity in Severity if severity.rank <= fail_on.rank)
    subjects = [(document.file, documents.subject(document)) for document in loaded.documents]
    say(junit("analyze", cases_of(subjects, remarks, failing=failing)))


def remark(found: Finding) -> Remark:
    """A finding as continuous integration reads it."""
    origin = found.origin
    name = "/".join(part for part in (origin.namespace, origin.name) if part)
    text = f"{found.sentence}; {found.remedy}"
    path = f"{origin.path}: " if origin.path else ""
    return Remark(
        code=found.message.code,
        severity=found.message.severity.value,
        subject=documents.full_subject(f"{origin.kind} {name}".strip()),
        text=f"{path}{text}" if not text.startswith(path) else text,
        file=origin.file,
        line=origin.line,
    )
