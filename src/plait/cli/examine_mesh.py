"""What control says of itself and of its machines: the store's soundness, versions that differ, clocks that differ."""

import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from plait import __version__
from plait.cli import pids
from plait.cli.context import Mesh
from plait.cli.fields import as_list, part
from plait.cli.findings import Finding, fine, problem, warning
from plait.cli.output import counted
from plait.errors import NotFoundError, PlaitError, UnreachableError

if TYPE_CHECKING:
    from plait.store.sqlite import Summary

NOTABLE: Final = 2.0
"""Seconds between two clocks that are worth a word."""
HARMFUL: Final = 30.0
"""Seconds between two clocks from which on new certificates may be refused."""
_NTP: Final = "set the clock and keep it set (NTP): certificates are valid between two moments"


def store_at_rest(mesh: Mesh) -> Iterator[Finding]:
    """Whether the store is sound, read here because no control runs that could say so."""
    database = mesh.state_dir / "control/store.sqlite"
    if mesh.server or pids.alive(mesh.run_dir / "control.pid") is not None:
        return
    try:
        if not database.exists():
            return
        summary = _summary_of_copy(database)
    except (FileNotFoundError, PermissionError):
        return
    except PlaitError as error:
        yield problem("store", error.problem, error.remedy)
        return
    yield _store(str(database), {"objects": summary.objects, "problems": summary.problems})


def _summary_of_copy(database: Path) -> "Summary":
    """Look at a copy: a control that starts just now must find its store free."""
    from plait.store import sqlite

    with tempfile.TemporaryDirectory(prefix="plait-doctor-") as folder:
        for path in database.parent.glob("store.sqlite*"):
            shutil.copyfile(path, Path(folder) / path.name)
        return sqlite.examine(Path(folder) / database.name)


def _store(where: str, store: Mapping[str, Any]) -> Finding:
    problems = [str(problem) for problem in store.get("problems") or ()]
    if problems and store.get("shared"):
        return problem("store", problems[0], "see etcd; until then calls go on, and control serves what it knows")
    if problems:
        return problem(
            "store",
            f"{where} is damaged: {problems[0]}",
            "back up what is there, then restore the last good backup: plait restore FILE",
        )
    objects = counted(int(store.get("objects") or 0), "object")
    return fine("store", f"{where} is sound and holds {objects}")


def health(mesh: Mesh) -> Iterator[Finding]:
    """What control knows of itself and of its machines, if it answers."""
    try:
        with mesh.client() as client:
            before = time.time()
            answer = client.request("GET", "/plait/v1/health")
            moment = (before + time.time()) / 2
    except NotFoundError:
        yield warning("versions", "control is older than this command", "upgrade control first, then the machines")
        return
    except UnreachableError:
        return  # told by the examination of the mesh
    except PlaitError as error:
        yield problem("store", error.problem, error.remedy)
        return
    yield _store("the store", part(answer, "store"))
    machines: Sequence[Mapping[str, Any]] = as_list(answer.get("machines")) or ()
    yield from _versions(str(answer.get("version")), machines)
    yield from _clocks(moment - float(answer.get("time") or moment), machines)


def _versions(control: str, machines: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    found = {"this command": __version__}
    found |= {f"the agent of {machine['name']}": str(machine.get("version")) for machine in machines}
    others = {who: version for who, version in found.items() if version != control}
    for who, version in others.items():
        yield warning(
            "versions",
            f"{who} is Plait {version or 'of an older version'}, control is {control}",
            "finish the upgrade: docs/how-to/upgrade.md",
        )
    if not others:
        yield fine("versions", f"control and {counted(len(machines), 'agent')}: {control}")


def _clocks(here: float, machines: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    found = {"this machine": here} | {f"machine {item['name']}": float(item.get("ahead") or 0) for item in machines}
    wrong = {who: ahead for who, ahead in found.items() if abs(ahead) > NOTABLE}
    for who, ahead in wrong.items():
        way = "ahead of" if ahead > 0 else "behind"
        say = problem if abs(ahead) > HARMFUL else warning
        yield say("clock", f"the clock of {who} is {abs(ahead):.0f} s {way} control's", _NTP)
    if not wrong:
        yield fine("clock", f"clocks differ by {max(map(abs, found.values())):.1f} s at most")
