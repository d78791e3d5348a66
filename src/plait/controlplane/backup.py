"""Backup and restore of what a mesh cannot be made again from: its objects, its authority's keys, tokens, settings.

A backup is taken while control works: SQLite copies the store between two commits, and the small files beside it are
read again until none has changed meanwhile. What is left out is made anew at each start (the servers' certificate).

A restored store continues far above the revision it had (`BEYOND`). Whoever watched the mesh holds revisions of a
history that is gone, and some of its numbers would otherwise be given a second time: so they are told to list again.
"""

import contextlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from plait import __version__
from plait.controlplane import archive, restored
from plait.controlplane.archive import Manifest
from plait.controlplane.state import FORMAT as STATE_FORMAT
from plait.controlplane.state import StateDirectory
from plait.errors import RefusedError, StorageError
from plait.identity.authority import open_authority
from plait.store import sqlite

log = logging.getLogger(__name__)

BEYOND: Final = 1_000_000_000
"""How far above its revision a restored store continues: more than were ever made between a backup and a loss."""
STAGING: Final = ".backup-"
"""How the names begin of what exists only while a backup is taken; it holds the authority's keys."""
_RESTORING: Final = ".restore-"
_STORE: Final = "control/store.sqlite"
_MADE_ANEW: Final = frozenset({"server.pem", "server.key", "name", "lock", "joint.json"})
_TRIES: Final = 20

CopyStore = Callable[[Path], object]
"""Writes a consistent copy of the store to a new file."""


def take(state: StateDirectory, target: Path, copy_store: CopyStore) -> Manifest:
    """Write a backup of that state directory to a new file; raises StorageError if the disk is full."""
    with tempfile.TemporaryDirectory(prefix=STAGING, dir=target.parent) as folder:
        staging = Path(folder)
        try:
            files = _copied(state, staging)
            copy_store(staging / "store")
            files[_STORE] = staging / "store"
            manifest = _about(state, files)
            target.touch(mode=0o600)
            archive.write(target, manifest, files)
        except OSError as error:
            target.unlink(missing_ok=True)
            raise StorageError(
                f"the backup cannot be written to {target}: {error.strerror}", "free some space"
            ) from error
    return manifest


def sweep(state: StateDirectory) -> None:
    """Remove what backups and restores left that were killed; only for who holds the store's lock."""
    for folder, prefix in ((state.control, STAGING), (state.root, _RESTORING)):
        for path in folder.glob(f"{prefix}*"):
            log.warning("an interrupted backup or restore left %s; it is removed, for it holds keys", path)
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _about(state: StateDirectory, files: dict[str, Path]) -> Manifest:
    summary = sqlite.examine(files[_STORE])
    settings = _json(files.get("control/mesh.json"))
    known = _json(state.run / "endpoints.json")
    return Manifest(
        format=archive.FORMAT,
        plait=__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        trust_domain=str(settings.get("trust_domain", "")),
        root_fingerprint=str(known.get("root_fingerprint", "")),
        revision=summary.revision,
        objects=summary.objects,
        files=tuple(archive.entry(name, path) for name, path in sorted(files.items())),
    )


def _json(path: Path | None) -> Mapping[str, object]:
    return json.loads(path.read_text()) if path is not None and path.exists() else {}


def _copied(state: StateDirectory, staging: Path) -> dict[str, Path]:
    """Copies of the small files, all as they were at one moment."""
    for _ in range(_TRIES):
        before = _fingerprints(state)
        copies: dict[str, Path] = {}
        with contextlib.suppress(FileNotFoundError):
            for at, path in enumerate(before):
                copies[str(path.relative_to(state.root))] = Path(shutil.copyfile(path, staging / str(at)))
            if _fingerprints(state) == before:
                return copies
    raise RefusedError(f"the files in {state.control} change all the time", "try again in a minute")


def _fingerprints(state: StateDirectory) -> dict[Path, tuple[int, int, int]]:
    found: dict[Path, tuple[int, int, int]] = {}
    for path in (state.root / "version", *_kept(state.control)):
        with contextlib.suppress(FileNotFoundError):
            status = path.stat()
            found[path] = (status.st_ino, status.st_mtime_ns, status.st_size)
    return found


def _kept(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name in _MADE_ANEW or path.name.startswith("store.sqlite"):
            continue
        if path.is_dir():
            yield from _kept(path)
        elif path.is_file():
            yield path


def restore(source: Path, state: StateDirectory) -> Manifest:
    """Make that state directory from a backup; whatever is wrong is found before anything is there.

    Raises RefusedError if the directory holds a mesh, or if the backup is damaged or of a newer format.
    """
    if state.control.exists() and any(state.control.iterdir()):
        raise RefusedError(
            f"{state.control} holds a mesh already, and a restore never overwrites one",
            "choose another --state-dir, or move that folder away first",
        )
    state.root.mkdir(mode=0o755, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=_RESTORING, dir=state.root) as folder:
        staged = StateDirectory(Path(folder))
        manifest = archive.read(source, staged.root)
        fresh = _checked(staged, manifest, source)
        _give_to_owner(state.root, staged.control)
        with contextlib.suppress(FileNotFoundError):
            state.control.rmdir()
        staged.control.chmod(0o700)
        staged.control.rename(state.control)
        if not (state.root / "version").exists():
            (staged.root / "version").rename(state.root / "version")
            (state.root / "version").chmod(0o644)
    return replace(manifest, revision=fresh)


def _checked(staged: StateDirectory, manifest: Manifest, source: Path) -> int:
    """Try everything that control will need; the revision from which the mesh goes on."""
    found = {item.name for item in manifest.files}
    if missing := {_STORE, "version", "control/mesh.json"} - found:
        raise RefusedError(f"the backup {source} lacks {', '.join(sorted(missing))}", "take another backup")
    version = (staged.root / "version").read_text().strip()
    if version != str(STATE_FORMAT):
        raise RefusedError(
            f"the backup {source} is of a state directory of format {version}; this Plait reads {STATE_FORMAT}",
            f"restore it with Plait {manifest.plait}",
        )
    summary = sqlite.examine(staged.database)
    if summary.problems:
        raise RefusedError(f"the store in the backup {source} is damaged: {summary.problems[0]}", "take another backup")
    open_authority(staged.authority, manifest.trust_domain)
    restored.note(staged, sqlite.documents(staged.database, group="networking.istio.io", kind="WorkloadEntry"))
    return sqlite.continue_from(staged.database, summary.revision + BEYOND)


def _give_to_owner(root: Path, folder: Path) -> None:
    """Let the restored files belong to whom the state directory belongs: control may not run as root."""
    owner = root.stat()
    if os.geteuid() != 0 or owner.st_uid == 0:
        return
    for path in (folder, *folder.rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid)
