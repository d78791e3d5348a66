"""The archive of a backup: a tar file that begins with `manifest.json` and holds nothing but what that names.

The manifest tells the format, what the mesh was, and size and SHA-256 of every file. Reading takes nothing on trust:
only plain files with plain names are taken out, each is compared with the manifest, and none may be missing.
"""

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from plait.errors import RefusedError

FORMAT: Final = 1
"""The newest format of an archive that this Plait reads, and the one that it writes."""
_MANIFEST: Final = "manifest.json"
_LONGEST_MANIFEST: Final = 16 << 20
_NAME: Final = re.compile(r"[A-Za-z0-9_][-A-Za-z0-9_.]*(/[A-Za-z0-9_][-A-Za-z0-9_.]*)*")
_ANOTHER: Final = "take another backup; this one was cut, changed or never one of Plait's"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file of an archive; `size` in bytes."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What an archive says of itself. `plait` is the version that wrote it, `created` an ISO 8601 time."""

    format: int
    plait: str
    created: str
    trust_domain: str
    root_fingerprint: str
    revision: int
    objects: int
    files: tuple[Entry, ...]


def entry(name: str, path: Path) -> Entry:
    """The entry of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Entry(name=name, size=path.stat().st_size, sha256=digest)


def write(target: Path, manifest: Manifest, files: Mapping[str, Path]) -> None:
    """Write the archive of these files, named as in the manifest."""
    head = json.dumps(asdict(manifest), indent=2).encode()
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(_member(_MANIFEST, len(head)), io.BytesIO(head))
        for item in manifest.files:
            with files[item.name].open("rb") as file:
                tar.addfile(_member(item.name, item.size), file)


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o600
    return member


def read(source: Path, into: Path | None = None) -> Manifest:
    """What the archive says, after every file of it was compared with that; with `into` they are written there.

    Raises RefusedError when the archive is damaged, is none, or was written in a newer format.
    """
    try:
        with tarfile.open(source, "r:") as tar:
            manifest = _manifest(tar, source)
            _take_out(tar, manifest, source, into)
            return manifest
    except FileNotFoundError as error:
        raise RefusedError(f"there is no backup {source}", "check its name") from error
    except (tarfile.TarError, EOFError, OSError) as error:
        raise RefusedError(f"the backup {source} cannot be read: {error}", _ANOTHER) from error


def _manifest(tar: tarfile.TarFile, source: Path) -> Manifest:
    first = tar.next()
    if first is None or first.name != _MANIFEST or not first.isfile() or first.size > _LONGEST_MANIFEST:
        raise RefusedError(f"{source} is no backup of Plait: it does not begin with {_MANIFEST}", _ANOTHER)
    try:
        document: dict[str, Any] = json.loads(_content(tar, first))
        if int(document["format"]) > FORMAT:
            raise RefusedError(
                f"the backup {source} has format {document['format']}, written by Plait {document.get('plait', '')}; "
                f"this Plait reads up to format {FORMAT}",
                "restore it with that version or a newer one",
            )
        files = tuple(Entry(**item) for item in document.pop("files"))
        return Manifest(**document, files=files)
    except (ValueError, KeyError, TypeError) as error:
        raise RefusedError(f"the manifest of the backup {source} cannot be read: {error}", _ANOTHER) from error


def _take_out(tar: tarfile.TarFile, manifest: Manifest, source: Path, into: Path | None) -> None:
    expected = {item.name: item for item in manifest.files}
    while (member := tar.next()) is not None:
        item = expected.pop(member.name, None)
        if item is None or not member.isfile() or not _NAME.fullmatch(member.name):
            raise RefusedError(f"the backup {source} holds {member.name!r}, which its manifest does not name", _ANOTHER)
        content = _content(tar, member)
        if (len(content), hashlib.sha256(content).hexdigest()) != (item.size, item.sha256):
            raise RefusedError(f"the backup {source} is damaged: {member.name} is not what was written", _ANOTHER)
        if into is not None:
            _place(into / member.name, content)
    if expected:
        raise RefusedError(f"the backup {source} is not whole: {', '.join(sorted(expected))} is missing", _ANOTHER)


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    return file.read() if file is not None else b""


def _place(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(content)
