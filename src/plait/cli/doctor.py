"""`plait doctor`: look for what is wrong on this machine and in the mesh, and clean up what killed processes left.

Only what nobody answers for any more is removed. Exit code 1 when there is a problem; warnings alone are no failure.
"""

from dataclasses import asdict
from typing import Annotated

import typer

from plait.cli import context, options, pids
from plait.cli.errors import ExitCode
from plait.cli.examine import EXAMINATIONS
from plait.cli.findings import Finding
from plait.cli.output import counted, note, say
from plait.cli.render import Column, Output, column, show_rows

COLUMNS = (
    column("CHECK", "check"),
    column("STATE", "state"),
    Column(title="DETAIL", cell=lambda row: row["detail"]),
)


def doctor(
    look_only: Annotated[bool, typer.Option("--look-only", help="Leave in place what killed processes left.")] = False,
    forget: Annotated[
        list[str] | None, typer.Option("--forget", metavar="ID", help="Remove what that dead mesh left; repeatable.")
    ] = None,
    output: options.Format = Output.TABLE,
) -> None:
    """Examine this machine and the mesh, and clean up leftovers; exit code 1 when something is wrong."""
    from plait.cli import dead_meshes, leftovers

    mesh = context.current()
    removed = [finding for name in forget or () for finding in dead_meshes.forget(mesh, name)]
    findings = [finding for examination in EXAMINATIONS for finding in examination(mesh)]
    running = pids.alive(mesh.run_dir / "node.pid") is not None
    findings += leftovers.examine(mesh, running=running, clean=not look_only)
    findings += [*removed, *dead_meshes.examine(mesh)]
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
