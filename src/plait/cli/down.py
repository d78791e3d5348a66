"""`plait down`: end what `plait up` started, the workloads first.

A supervisor that lives is asked, and does it in order. What a killed one left behind is ended here.
"""

import os
import signal
import time
from collections.abc import Sequence

from plait.cli import arguments, context, pids
from plait.cli.output import say
from plait.cli.up import KEEP_WORKLOADS
from plait.errors import DeadlineError, ForbiddenError

PATIENCE = 60.0


def build_parser() -> arguments.Parser:
    """The parser of `plait down`."""
    parser = arguments.parser("down", "End the mesh on this machine and everything that runs in it.")
    parser.add_argument(
        "--keep-workloads", action="store_true", help="leave the workloads running; the next `plait up` adopts them"
    )
    return parser


def main(words: Sequence[str]) -> int:
    """Run `plait down`."""
    options = build_parser().parse_args(list(words))
    mesh = context.current()
    supervisor = pids.alive(mesh.run_dir / "up.pid")
    if supervisor:
        _ask(supervisor, KEEP_WORKLOADS if options.keep_workloads else signal.SIGTERM)
    orphans = [name for name in ("node", "control") if _end(mesh, name)]
    if supervisor or orphans:
        say("Plait is down.")
    else:
        say(f"No mesh runs with its state in {mesh.state_dir}.")
    return 0


def _ask(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except PermissionError:
        raise ForbiddenError(
            f"the mesh belongs to another user (process {pid})", "run `plait down` as its owner"
        ) from None
    until = time.monotonic() + PATIENCE
    while pids.is_plait(pid):
        if time.monotonic() > until:
            raise DeadlineError(
                f"the mesh (process {pid}) did not end within {PATIENCE:.0f} s", "see STATE/run/up.log, then try again"
            )
        time.sleep(0.02)


def _end(mesh: context.Mesh, name: str) -> bool:
    pid = pids.alive(mesh.run_dir / f"{name}.pid")
    if pid:
        pids.terminate(pid, patience=15)
    return bool(pid)
