"""`plait doctor`: look for what is wrong on this machine and in the mesh, and clean up what was left behind.

Exit code 1 when there is a problem; warnings alone are no failure.
"""

from dataclasses import asdict
from typing import Annotated

import typer

from plait.cli import context, options
from plait.cli.errors import ExitCode
from plait.cli.examine import EXAMINATIONS, Finding
from plait.cli.output import counted, note, say
from plait.cli.render import Column, Output, column, show_rows

COLUMNS = (
    column("CHECK", "check"),
    column("STATE", "state"),
    Column(title="DETAIL", cell=lambda row: row["detail"]),
)


def doctor(
    clean: Annotated[bool, typer.Option("--clean", help="Remove what killed processes left behind.")] = False,
    output: options.Format = Output.TABLE,
) -> None:
    """Examine this machine and the mesh; exit code 1 when something is wrong."""
    from plait.cli import leftovers

    mesh = context.current()
    findings = [finding for examination in EXAMINATIONS for finding in examination(mesh)]
    findings += leftovers.examine(mesh, clean=clean)
    show_rows([asdict(finding) for finding in findings], COLUMNS, output, empty="Nothing was examined.")
    problems = [finding for finding in findings if finding.state == "problem"]
    if output in (Output.TABLE, Output.WIDE):
        _advise(findings)
        say("No problems." if not problems else f"{counted(len(problems), 'problem')}.")
    if problems:
        raise typer.Exit(ExitCode.FOUND)


def _advise(findings: list[Finding]) -> None:
    for finding in findings:
        if finding.remedy:
            note(f"{finding.check}: {finding.detail}\n  hint: {finding.remedy}")
