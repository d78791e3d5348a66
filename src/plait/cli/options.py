"""Options that many commands share, for typer."""

from pathlib import Path
from typing import Annotated

import typer

from plait.cli import reports
from plait.cli.render import Output

Namespace = Annotated[str, typer.Option("-n", "--namespace", metavar="NS", help="Namespace.")]
AllNamespaces = Annotated[bool, typer.Option("-A", "--all-namespaces", help="Every namespace.")]
Format = Annotated[Output, typer.Option("-o", "--output", help="How the answer is printed.")]
Report = Annotated[reports.Report, typer.Option("-o", "--output", help="How findings are printed.")]
Files = Annotated[
    list[Path],
    typer.Option(
        "-f",
        "--file",
        metavar="PATH",
        help="A YAML file, a folder, an https URL, or `-` for standard input; repeatable.",
    ),
]
MorePaths = Annotated[list[Path] | None, typer.Argument(metavar="[PATH]...", help="More files and folders.")]
Owner = Annotated[
    str, typer.Option("--owner", metavar="O", help="Whose set of objects this is; --prune deletes the rest of it.")
]
