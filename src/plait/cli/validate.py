"""`plait validate`: check YAML without a mesh, every mistake at once."""

from dataclasses import asdict

from plait.cli import documents, options
from plait.cli.errors import CheckError
from plait.cli.output import counted, note, say
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
    objects = counted(len(loaded.documents), "object")
    if found:
        raise CheckError(f"{counted(len(found), 'mistake')} in {objects}", "mend the lines above, then validate again")
    if output in (Output.TABLE, Output.WIDE):
        say(f"{objects}, no mistakes.")
