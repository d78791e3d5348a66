"""Backup and restore of a state directory, without a mesh that runs."""

import asyncio
import io
import json
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from plait.controlplane import archive, backup, restored
from plait.controlplane.state import StateDirectory
from plait.errors import GoneError, RefusedError, StorageError
from plait.identity.authority import open_authority
from plait.store import sqlite
from plait.store.sqlite import SqliteStore
from tests.store.documents import key, put

Content = dict[str, bytes]


@pytest.fixture
def state(tmp_path: Path) -> StateDirectory:
    """A state directory as control leaves it, with three objects."""
    made = StateDirectory(tmp_path / "mesh")
    made.prepare()
    made.owner_token()
    made.write_private(made.control / "mesh.json", '{"trust_domain": "cluster.local", "address_range": "10.60.0.0/16"}')
    made.write_private(made.control / "server.key", "made anew at each start")
    open_authority(made.authority, "cluster.local")

    async def fill() -> None:
        store = SqliteStore.open(made.database)
        await store.commit([put("a"), put("b", x=1), put("c")])
        await store.close()

    asyncio.run(fill())
    return made


@pytest.fixture
def saved(state: StateDirectory, tmp_path: Path) -> Path:
    """A backup of it."""
    target = tmp_path / "mesh.backup"
    backup.take(state, target, lambda copy: sqlite.copy_file(state.database, copy))
    return target


def test_what_a_killed_backup_left_is_swept_away(state: StateDirectory):
    """It holds the authority's keys: control removes it at its next start, and nothing else."""
    before = sorted(path for path in state.root.rglob("*"))
    for left in (state.control / ".backup-ab12", state.root / ".restore-cd34"):
        left.mkdir()
        (left / "root.key").write_text("a key")
    (state.control / ".backup-ab12.tar").write_text("a key")

    backup.sweep(state)

    assert sorted(path for path in state.root.rglob("*")) == before


def test_a_backup_is_private_and_says_what_it_holds(state: StateDirectory, saved: Path):
    """Only its owner may read it; the manifest counts the objects and names every file, and no more is in it."""
    manifest = archive.read(saved)

    with tarfile.open(saved) as tar:
        names = tar.getnames()
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    assert (manifest.objects, manifest.revision, manifest.trust_domain) == (3, 3, "cluster.local")
    assert names == ["manifest.json", *(item.name for item in manifest.files)]
    assert {"version", "control/token", "control/mesh.json", "control/store.sqlite"} <= set(names)
    assert {path.name for path in state.authority.iterdir()} == {
        Path(name).name for name in names if name.startswith("control/ca/")
    }
    assert "control/server.key" not in names
    assert not [path.name for path in saved.parent.iterdir() if path.name.startswith(".")]


def test_a_restored_mesh_is_the_same(state: StateDirectory, saved: Path, tmp_path: Path):
    """Objects, authority, owner's token and settings are those of the mesh that was saved."""
    fresh = StateDirectory(tmp_path / "elsewhere")
    fresh.root.mkdir()

    backup.restore(saved, fresh)

    same = open_authority(fresh.authority, "cluster.local")
    assert same.bundle == open_authority(state.authority, "cluster.local").bundle
    assert fresh.owner_token() == state.owner_token()
    assert (fresh.control / "mesh.json").read_bytes() == (state.control / "mesh.json").read_bytes()
    assert {stat.S_IMODE(path.stat().st_mode) for path in fresh.control.rglob("*") if path.is_file()} == {0o600}
    fresh.prepare()
    assert _objects(fresh) == {"a": {}, "b": {"x": 1}, "c": {}}


def _objects(state: StateDirectory) -> dict[str, dict[str, int]]:
    async def read() -> dict[str, dict[str, int]]:
        store = SqliteStore.open(state.database)
        listing = await store.list()
        await store.close()
        return {item["metadata"]["name"]: item["spec"] for item in listing.items}

    return asyncio.run(read())


def test_watchers_of_the_lost_mesh_must_list_again(saved: Path, tmp_path: Path):
    """A revision that a watcher got after the backup is gone, also when the restored store was written to since."""
    fresh = StateDirectory(tmp_path / "elsewhere")
    backup.restore(saved, fresh)

    async def watch() -> None:
        store = SqliteStore.open(fresh.database)
        for number in range(10):
            await store.commit([put("a", x=number)])
        for revision in (3, 4, 8, 13, 1000):
            with pytest.raises(GoneError, match="list again"):
                await anext(store.watch(revision))
        document = await store.get(key("a"))
        assert document is not None
        assert int(document["metadata"]["resourceVersion"]) > backup.BEYOND
        await store.close()

    asyncio.run(watch())


def test_machines_hear_of_a_restore(state: StateDirectory, tmp_path: Path):
    """Each restore has an id of its own, and the workloads of the backup are named by machine."""
    meta = {"name": "web", "namespace": "shop", "annotations": {"plait.dev/node": "one"}}
    for number in range(2):
        restored.note(state, [{"metadata": meta}, {"metadata": {"name": "by-hand", "namespace": "shop"}}])
        (state.control / "restored.json").rename(tmp_path / str(number))
    ids = {json.loads((tmp_path / str(number)).read_text())["id"] for number in range(2)}

    assert restored.load(state) == restored.Restored()
    (tmp_path / "1").rename(state.control / "restored.json")
    assert restored.load(state).workloads == {"one": ("shop/web",)}
    assert len(ids) == 2


def test_nothing_is_overwritten(state: StateDirectory, saved: Path):
    """A directory that holds a mesh is refused and stays as it is."""
    before = {path: path.read_bytes() for path in state.control.rglob("*") if path.is_file()}

    with pytest.raises(RefusedError, match="holds a mesh already"):
        backup.restore(saved, state)

    assert {path: path.read_bytes() for path in state.control.rglob("*") if path.is_file()} == before


def _rewritten(saved: Path, change: Callable[[Content], None]) -> None:
    with tarfile.open(saved) as tar:
        content = {item.name: (tar.extractfile(item) or io.BytesIO()).read() for item in tar.getmembers()}
    change(content)
    with tarfile.open(saved, "w") as tar:
        for name, data in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def _newer(content: Content) -> None:
    content["manifest.json"] = content["manifest.json"].replace(b'"format": 1', b'"format": 2')


def _changed(content: Content) -> None:
    content["control/token"] = b"another"


def _less(content: Content) -> None:
    del content["control/mesh.json"]


def _more(content: Content) -> None:
    content["../escaped"] = b"x"


def _none(content: Content) -> None:
    del content["manifest.json"]


def _garbled(content: Content) -> None:
    content["manifest.json"] = b'{"format": 1}'


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (_newer, "has format 2.* up to format 1"),
        (_changed, "control/token is not what was written"),
        (_less, "control/mesh.json is missing"),
        (_more, "'../escaped', which its manifest does not name"),
        (_none, "does not begin with manifest.json"),
        (_garbled, "manifest of the backup .* cannot be read"),
    ],
)
def test_a_backup_that_is_not_as_written_is_refused(
    saved: Path, tmp_path: Path, *, change: Callable[[Content], None], problem: str
):
    """Each says what is wrong, and nothing is left behind."""
    _rewritten(saved, change)
    fresh = StateDirectory(tmp_path / "elsewhere")

    with pytest.raises(RefusedError, match=problem):
        backup.restore(saved, fresh)

    assert list(fresh.root.iterdir()) == []


def test_a_cut_backup_is_refused(saved: Path, tmp_path: Path):
    """Wherever it is cut, it is never restored in part."""
    whole = saved.read_bytes()
    fresh = StateDirectory(tmp_path / "elsewhere")
    for length in range(0, len(whole) - 10240, 3001):
        saved.write_bytes(whole[:length])
        with pytest.raises(RefusedError):
            backup.restore(saved, fresh)
    assert list(fresh.root.iterdir()) == []


def test_a_damaged_store_is_refused(state: StateDirectory, saved: Path, tmp_path: Path):
    """A store that SQLite finds damaged is not restored, even if the archive is as it was written."""
    text = bytearray(state.database.read_bytes())
    text[5000:9000] = b"\xff" * 4000
    files = {"control/store.sqlite": tmp_path / "store"}
    files["control/store.sqlite"].write_bytes(text)
    for name in ("version", "control/mesh.json"):
        files[name] = state.root / name
    manifest = archive.read(saved)
    about = {name: getattr(manifest, name) for name in manifest.__dataclass_fields__}
    about["files"] = tuple(archive.entry(name, path) for name, path in files.items())
    archive.write(saved, archive.Manifest(**about), files)

    with pytest.raises((RefusedError, StorageError), match="store"):
        backup.restore(saved, StateDirectory(tmp_path / "elsewhere"))
