"""`plait validate`: check YAML without a mesh, every mistake at once."""

from dataclasses import asdict

from plait.cli import documents, options
from plait.cli.errors import CheckError
from plait.cli.output import note, say
from plait.cli.render import Output, show_value
from plait.resources.parse import validate as check


def validate(
    files: options.Files,
    more: options.MorePaths = None,
    output: options.Format = Output.TABLE,
) -> None:
    """Check files without a mesh; every mistake is told with its file and line."""
    loaded = documents.read(files, more)
    found = [*loaded.violations, *check(loaded.documents)]
    found.sort(key=lambda violation: (violation.file, violation.line))
    if output in (Output.JSON, Output.YAML):
        show_value({"objects": len(loaded.documents), "violations": [asdict(violation) for violation in found]}, output)
    else:
        for violation in found:
            note(str(violation))
    if found:
        count = "1 mistake" if len(found) == 1 else f"{len(found)} mistakes"
        raise CheckError(f"{count} in {len(loaded.documents)} objects", "mend the lines above, then validate again")
    if output in (Output.TABLE, Output.WIDE):
        objects = "1 object" if len(loaded.documents) == 1 else f"{len(loaded.documents)} objects"
        say(f"{objects}, no mistakes.")
