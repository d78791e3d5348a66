"""`plait bundle`: files and folders in one file, which has a digest.

The texts stay as they are, each under a comment with the name of its file, in the order in which they were given and
by name within folders: the same files make the same bundle, byte for byte. It is YAML that `kubectl` takes too.
"""

from pathlib import Path
from typing import Annotated

import typer

from plait.cli import documents, options, remote
from plait.cli.errors import UsageError
from plait.cli.output import counted, say
from plait.cli.render import Output, show_value
from plait.errors import InvalidInputError, RefusedError
from plait.resources.parse import validate
from plait.resources.yaml import files_of

To = Annotated[Path, typer.Option("--to", metavar="FILE", help="Where the bundle is written.")]


def bundle(
    files: options.Files,
    more: options.MorePaths = None,
    *,
    to: To,
    output: options.Format = Output.TABLE,
) -> None:
    """Put files and folders in one file, and tell its digest."""
    paths = [*files, *(more or ())]
    if away := [path for path in paths if str(path) == "-" or remote.url_of(path)]:
        what = remote.url_of(away[0]) or "standard input"
        raise UsageError(f"{what} is no file", "a bundle is made of files: save it first")
    loaded = documents.read_correct(paths, None)
    if found := validate(loaded):
        raise InvalidInputError(found)
    content = "".join(_part(path) for path in files_of(paths)).encode()
    try:
        to.write_bytes(content)
    except OSError as error:
        raise RefusedError(f"{to} cannot be written: {error.strerror or error}", "choose another file") from error
    digest = remote.digest_of(content)
    if output in (Output.JSON, Output.YAML):
        show_value({"file": str(to), "objects": len(loaded), "bytes": len(content), "digest": digest}, output)
    else:
        say(f"{to}: {counted(len(loaded), 'object')}, {digest}")


def _part(path: Path) -> str:
    text = remote.read(path).strip("\n")
    return f"---\n# from {path.name}\n{text.removeprefix('---').lstrip(chr(10))}\n"
