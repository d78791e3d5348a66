"""The directory in which the authority is kept.

    authority.json              the stage, and which of the files below are in force
    root-PRINT.crt              a root that peers trust; PRINT begins its fingerprint
    root-PRINT.key              its key; absent when the user gave an authority of their own, or took it away
    intermediate-PRINT.crt      a signer, then the certificates that link it to its root
    intermediate-PRINT.key      the signer's key

Only `authority.json` is ever replaced, atomically, after all that it names is on disk: a process that starts after a
crash at any moment finds the state before or the state after, whole. Files that it does not name are removed.
"""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from cryptography import x509

from plait.errors import RefusedError
from plait.identity.certificates import Signer, pem
from plait.identity.given_authority import check_belongs, private_pem, read_key
from plait.identity.private_files import write_private
from plait.identity.rotation import AuthorityState, Line, Stage
from plait.identity.trust import fingerprint

_STATE: Final = "authority.json"
_FIRST_LAYOUT: Final = ("root.crt", "root.key", "intermediate.crt", "intermediate.key")
"""Files of releases that knew one root and one signer only."""
_OURS: Final = ("root-*.crt", "root-*.key", "intermediate-*.crt", "intermediate-*.key", ".*.*")
_PRINTED: Final = 16


def established(directory: Path) -> bool:
    """Whether an authority is kept in that directory."""
    return (directory / _STATE).exists() or (directory / "intermediate.crt").exists()


def load(directory: Path) -> AuthorityState:
    """The state kept in that directory; RefusedError if it is damaged."""
    if not (directory / _STATE).exists():
        return _converted(directory)
    try:
        document: Mapping[str, Any] = json.loads((directory / _STATE).read_bytes())
        other, ends = document["other"], document["leavesEnd"]
        return AuthorityState(
            signing=_line(directory, document["signing"]),
            since=datetime.fromisoformat(document["since"]),
            stage=Stage(document["stage"]),
            other=_line(directory, other) if other else None,
            within=document["within"],
            leaves_end=datetime.fromisoformat(ends) if ends else None,
            retired=tuple(document["retired"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RefusedError(
            f"{directory}: the certificate authority is damaged: {error}", "restore the directory from a backup"
        ) from error


def save(directory: Path, state: AuthorityState, *, root: Signer | None = None) -> None:
    """Put a state into force; `root` is a root of it whose key is to be kept."""
    if root is not None:
        _write_once(directory / f"{_root_stem(root.certificate)}.key", private_pem(root.key))
    for line in state.trusted:
        _write_once(directory / f"{_root_stem(line.root)}.crt", pem(line.root))
        _write_once(directory / f"{_signer_stem(line.signer)}.key", private_pem(line.signer.key))
        _write_once(directory / f"{_signer_stem(line.signer)}.crt", line.signer.chain)
    _flush(directory)
    document = {
        "stage": state.stage.value,
        "since": state.since.isoformat(),
        "signing": _names(state.signing),
        "other": _names(state.other) if state.other else None,
        "within": state.within,
        "leavesEnd": state.leaves_end.isoformat() if state.leaves_end else None,
        "retired": list(state.retired),
    }
    write_private(directory / _STATE, json.dumps(document, indent=2).encode() + b"\n")
    _flush(directory)
    sweep(directory, state)


def sweep(directory: Path, state: AuthorityState) -> None:
    """Remove what the state does not need: retired roots with their keys, and what a crash left."""
    kept = set(_files(state))
    for pattern in (*_OURS, *_FIRST_LAYOUT):
        for path in directory.glob(pattern):
            if path.name not in kept:
                path.unlink(missing_ok=True)


def root_signer(directory: Path, root: x509.Certificate) -> Signer | None:
    """The root as a signer, if its key is in that directory."""
    file = directory / f"{_root_stem(root)}.key"
    return Signer(certificate=root, key=read_key(file.read_bytes(), str(file))) if file.exists() else None


def _line(directory: Path, names: Mapping[str, str]) -> Line:
    return _read_line(directory / f"{names['root']}.crt", directory / f"{names['signer']}.crt")


def _read_line(root: Path, signer: Path) -> Line:
    chain = x509.load_pem_x509_certificates(signer.read_bytes())
    key_file = signer.with_suffix(".key")
    key = read_key(key_file.read_bytes(), str(key_file))
    found = Signer(certificate=chain[0], key=key, links=tuple(chain[1:]))
    check_belongs(found, str(key_file))
    return Line(root=x509.load_pem_x509_certificate(root.read_bytes()), signer=found)


def _converted(directory: Path) -> AuthorityState:
    """Take over the files of an earlier release."""
    line = _read_line(directory / "root.crt", directory / "intermediate.crt")
    state = AuthorityState(signing=line, since=line.root.not_valid_before_utc)
    key = directory / "root.key"
    root = Signer(certificate=line.root, key=read_key(key.read_bytes(), str(key))) if key.exists() else None
    save(directory, state, root=root)
    return state


def _names(line: Line) -> Mapping[str, str]:
    return {"root": _root_stem(line.root), "signer": _signer_stem(line.signer)}


def _files(state: AuthorityState) -> Iterator[str]:
    for line in state.trusted:
        for stem in _names(line).values():
            yield from (f"{stem}.crt", f"{stem}.key")


def _root_stem(root: x509.Certificate) -> str:
    return f"root-{fingerprint(root)[:_PRINTED]}"


def _signer_stem(signer: Signer) -> str:
    return f"intermediate-{fingerprint(signer.certificate)[:_PRINTED]}"


def _write_once(path: Path, content: bytes) -> None:
    with contextlib.suppress(FileNotFoundError):
        if path.read_bytes() == content:
            return
    write_private(path, content)


def _flush(directory: Path) -> None:
    """Have the directory itself on disk: names of new files before what refers to them."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
