"""`plait restore`: make an empty state directory into the mesh of a backup."""

from pathlib import Path
from typing import Annotated

import typer

from plait.cli import context, pids, up
from plait.cli.errors import UsageError
from plait.cli.output import counted, note, say
from plait.errors import RefusedError

Source = Annotated[Path, typer.Argument(metavar="FILE", help="A file that `plait backup` wrote.")]


def restore(file: Source) -> None:
    """Restore a backup into a state directory that holds no mesh yet; nothing is ever overwritten.

    Everything is checked first: the archive, the store in it, and that the keys belong to their certificates.
    """
    from plait.controlplane import backup
    from plait.controlplane.state import StateDirectory

    mesh = context.current()
    if mesh.server:
        raise UsageError("a backup is restored on control's own machine", "leave out --server and PLAIT_SERVER")
    if pid := pids.alive(mesh.run_dir / "control.pid"):
        raise RefusedError(f"control runs with its state in {mesh.state_dir} (process {pid})", "end it first")
    up.prepare(mesh.state_dir)
    manifest = backup.restore(file, StateDirectory(mesh.state_dir))
    say(f"{counted(manifest.objects, 'object')} of the mesh {manifest.trust_domain}, as of {manifest.created}.")
    note("Start control now: it goes on from this state, and everybody who watches the mesh reads it anew.")
