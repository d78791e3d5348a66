"""`plait backup`: everything a mesh cannot be made again from, in one file, while the mesh works.

Control makes the archive when it runs, since nobody else may open its store; without control the files are read here.
The archive is compared with its own manifest before it gets its name, so a file of that name is always a whole backup.
"""

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import httpx
import typer

from plait.cli import context, options, pids
from plait.cli.errors import UsageError
from plait.cli.output import counted, note, say
from plait.cli.render import Output, column, show_table, show_value
from plait.errors import ForbiddenError, RefusedError, StorageError, UnreachableError

if TYPE_CHECKING:
    from plait.controlplane.archive import Manifest

COLUMNS = (column("FILE", "name"), column("BYTES", "size", right=True), column("SHA256", "sha256"))
WITHIN = 120.0

Target = Annotated[Path, typer.Argument(metavar="FILE", help="Where to write the backup; it must not exist yet.")]


def backup(file: Target, output: options.Format = Output.TABLE) -> None:
    """Back up objects, certificate authority, tokens and settings while the mesh works.

    The file holds the mesh's private keys: it can be read by you alone, and whoever has it can be anyone in the mesh.
    """
    from plait.controlplane import archive

    mesh = context.current()
    if mesh.server:
        raise UsageError("a backup is taken on control's own machine", "leave out --server and PLAIT_SERVER")
    if file.exists():
        raise RefusedError(f"{file} exists already", "choose another name; no backup is overwritten")
    with _draft(file) as draft:
        _fetch(mesh, draft)
        manifest = archive.read(draft)
        _flush(draft)
        draft.rename(file)
    show(manifest, output)
    if output in (Output.TABLE, Output.WIDE):
        what = counted(manifest.objects, "object")
        say(f"{what} at revision {manifest.revision} of the mesh {manifest.trust_domain}.")
        note(f"{file} holds the mesh's private keys: keep it as safe as {mesh.state_dir / 'control'}.")


def show(manifest: "Manifest", output: Output) -> None:
    """Print what an archive holds."""
    if output in (Output.JSON, Output.YAML):
        show_value(asdict(manifest), output)
    else:
        show_table(COLUMNS, [asdict(item) for item in manifest.files])


@contextmanager
def _draft(file: Path) -> Generator[Path]:
    """A private file beside the one wanted, gone afterwards unless it got that name."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        yield draft
    except OSError as error:
        raise StorageError(f"{file} cannot be written: {error.strerror}", "choose another place") from error
    finally:
        draft.unlink(missing_ok=True)


def _fetch(mesh: context.Mesh, draft: Path) -> None:
    """Let control write the archive, or read the state directory if no control runs."""
    from plait.controlplane import backup as backups
    from plait.controlplane.state import StateDirectory
    from plait.store import sqlite

    if pids.alive(mesh.run_dir / "control.pid"):
        _download(mesh.run_dir / "api.sock", draft)
        return
    state = StateDirectory(mesh.state_dir)
    if not os.access(mesh.state_dir, os.R_OK) or (state.control.exists() and not os.access(state.control, os.R_OK)):
        raise ForbiddenError(f"{state.control} may not be read by you", "run this as the owner of the mesh")
    if not state.database.exists():
        raise UnreachableError(f"there is no mesh in {mesh.state_dir}", context.HINT)
    backups.take(state, draft, lambda target: sqlite.copy_file(state.database, target))


def _download(socket: Path, draft: Path) -> None:
    from plait.api.client import error_of

    transport = httpx.HTTPTransport(uds=str(socket))
    try:
        with (
            httpx.Client(transport=transport, base_url="http://plait", timeout=WITHIN) as client,
            client.stream("POST", "/plait/v1/backup") as answer,
        ):
            if answer.status_code >= 400:
                answer.read()
                raise error_of(answer)
            with draft.open("wb") as file:
                for chunk in answer.iter_bytes():
                    file.write(chunk)
    except httpx.TransportError as error:
        raise UnreachableError(f"control does not answer at {socket}: {error}", "see `plait status`") from error


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
