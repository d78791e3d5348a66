"""Several controls of one mesh, without any process of theirs: what they have in common, and who leads."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from plait.controlplane.admission import claims
from plait.controlplane.cluster import joining
from plait.controlplane.joint_secrets import JointSecrets
from plait.controlplane.mesh import settled_mesh
from plait.controlplane.moved_in import moved_in
from plait.controlplane.seed import MARK, first_objects
from plait.controlplane.settings import ControlSettings
from plait.controlplane.state import StateDirectory
from plait.errors import RefusedError
from plait.identity.authority import CertificateAuthority, open_authority
from plait.store.etcd_attendance import EtcdAttendance
from plait.store.etcd_client import EtcdClient
from plait.store.memory import MemoryStore
from plait.store.seal import Seal
from plait.store.sqlite import SqliteStore
from plait.store.store import Write
from tests.store.documents import key, put
from tests.store.etcd import Member, etcd, prefix


@pytest.fixture(scope="module")
def member() -> Iterator[Member]:
    with etcd() as started:
        yield started


def directory(folder: Path) -> StateDirectory:
    state = StateDirectory(folder)
    state.prepare()
    return state


def made(state: StateDirectory) -> CertificateAuthority:
    """What a control makes for itself that starts alone."""
    settled_mesh(state, ControlSettings(state_dir=state.root))
    state.owner_token()
    return open_authority(state.authority, "cluster.local")


def files(state: StateDirectory) -> dict[str, str]:
    paths = [state.control / "mesh.json", state.token_file, *state.authority.iterdir()]
    return {path.name: path.read_text() for path in paths}


async def until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110 - it comes from etcd
        await asyncio.sleep(0.02)


def joint(
    client: EtcdClient, within: str, state: StateDirectory, name: str, *, seal: bytes = b"k" * 32
) -> JointSecrets:
    return JointSecrets(state, EtcdAttendance(client, within, name), Seal(seal))


@pytest.mark.integration
def test_two_that_start_at_once_end_with_the_same(member: Member, tmp_path: Path) -> None:
    """Both find nothing in common and make their own; the second one then has what the first one put there."""

    async def play() -> None:
        client, within = EtcdClient([member.address]), prefix()
        states = [directory(tmp_path / name) for name in "ab"]
        first, second = (joint(client, within, state, state.root.name) for state in states)
        assert [await first.take(), await second.take()] == [False, False]
        for state in states:
            made(state)
        assert files(states[0]) != files(states[1])
        assert await first.put()
        assert not await second.put()
        second.adopt()
        assert files(states[0]) == files(states[1])
        assert await second.put()
        made(states[1]).rotate_signer()
        assert await second.put()
        await first.take()
        assert files(states[0]) == files(states[1])
        await client.close()

    asyncio.run(play())


@pytest.mark.integration
def test_another_mesh_and_another_seal_are_refused(member: Member, tmp_path: Path) -> None:
    """A state directory of another mesh is never overwritten; without the seal key nothing is read."""

    async def play() -> None:
        client, within = EtcdClient([member.address]), prefix()
        states = [directory(tmp_path / name) for name in "abc"]
        for state in states[:2]:
            made(state)
        first = joint(client, within, states[0], "a")
        await first.take()
        assert await first.put()
        before = files(states[1])
        with pytest.raises(RefusedError, match="holds another mesh than the store"):
            await joint(client, within, states[1], "b").take()
        assert files(states[1]) == before
        with pytest.raises(RefusedError, match=r"copy the seal key of the other control"):
            await joint(client, within, states[2], "c", seal=b"x" * 32).take()
        await client.close()

    asyncio.run(play())


@pytest.mark.integration
def test_one_leads_and_another_follows_it(member: Member) -> None:
    """The first one leads; when it leaves, the next one does, and its card is gone."""

    async def play() -> None:
        client, within = EtcdClient([member.address]), prefix()
        first, second = (EtcdAttendance(client, within, name) for name in "ab")
        tasks = [asyncio.create_task(each.follow()) for each in (first, second)]
        await first.attend(b"at one")
        async with asyncio.timeout(10):
            await until(lambda: first.leads)
            await second.attend(b"at two")
            await until(lambda: len(first.cards) == 2)
            assert not second.leads
            keeping = asyncio.create_task(second.keep())
            await first.leave()
            await until(lambda: second.leads)
        assert second.cards == {"b": b"at two"}
        assert not first.leads
        for task in (*tasks, keeping):
            task.cancel()
        await asyncio.gather(*tasks, keeping, return_exceptions=True)
        await client.close()

    asyncio.run(play())


def test_a_lease_that_is_not_renewed_is_not_believed() -> None:
    """A control that etcd does not answer knows by its own clock that it leads no longer."""
    now = [0.0]
    attendance = EtcdAttendance(EtcdClient(["127.0.0.1:1"]), "/p", "a", clock=lambda: now[0])
    attendance._values = {b"/p/control/leader": (b"a", 1)}  # pyright: ignore[reportPrivateUsage]
    attendance._until = 6.0  # pyright: ignore[reportPrivateUsage]
    assert attendance.leads
    now[0] = 6.0
    assert not attendance.leads


def test_a_single_controls_objects_move(tmp_path: Path) -> None:
    """They come into an empty store, the mark of a mesh last; a store that has a mesh is left as it is."""

    async def play() -> None:
        database = tmp_path / "store.sqlite"
        old = SqliteStore.open(database)
        mark = {**next(first_objects(strict=True)), "kind": "ConfigMap", "metadata": {"name": MARK.name}}
        await old.commit([Write(key=MARK, document=mark), *(put(f"s{number}") for number in range(1200))])
        await old.close()
        fresh = MemoryStore()
        await moved_in(fresh, database)
        assert len((await fresh.list()).items) == 1201
        moved = await fresh.get(MARK)
        assert moved is not None
        assert int(moved["metadata"]["resourceVersion"]) == fresh.revision
        assert not await asyncio.to_thread(database.exists)
        (tmp_path / "store.sqlite.moved").rename(database)
        await fresh.commit([Write(key=key("s7"), document=None)])
        await moved_in(fresh, database)
        assert await fresh.get(key("s7")) is None

    asyncio.run(play())


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"store": "postgres://x"}, "write etcd://HOST:PORT"),
        ({"store": "etcd://host"}, "a member is HOST:PORT"),
        ({"store": "etcd://h:1", "store_cert": Path("c")}, "--store-cert and --store-key belong together"),
        ({"store": "etcd://h:1", "store_ca": Path("/nowhere/ca")}, "/nowhere/ca cannot be read"),
        ({"store": "etcd://h:1", "seal_key": Path(__file__)}, "holds no seal key"),
    ],
)
def test_settings_that_cannot_work_are_refused(tmp_path: Path, given: dict[str, object], problem: str) -> None:
    """What is wrong with the options is said before anything is done."""
    with pytest.raises(RefusedError, match=problem):
        joining(ControlSettings.model_validate({"state_dir": tmp_path, **given}), directory(tmp_path / "s"))


def test_a_state_directory_has_one_control(tmp_path: Path) -> None:
    """A second control in the same directory is told so, and touches nothing."""

    async def play() -> None:
        settings = ControlSettings(state_dir=tmp_path, store="etcd://127.0.0.1:1")
        first, second = (joining(settings, directory(tmp_path)) for _ in range(2))
        assert first is not None
        assert second is not None
        with pytest.raises(Exception, match="cannot be reached"):
            await first.take()
        with pytest.raises(RefusedError, match="another control uses"):
            await second.take()
        await first.close()
        await second.close()

    asyncio.run(play())


def test_what_is_unique() -> None:
    """Addresses that the mesh gives and machines' ranges; headless services and addresses of users are none."""
    meta = {"metadata": {"name": "x"}}
    assert claims({"kind": "Service", **meta, "spec": {"clusterIP": "240.240.0.9"}}) == ["240.240.0.9"]
    assert claims({"kind": "Service", **meta, "spec": {"clusterIP": "None"}}) == []
    assert claims({"kind": "Node", **meta, "spec": {"podCIDR": "10.5.0.0/24"}}) == ["10.5.0.0/24"]
    entry = {"kind": "ServiceEntry", **meta, "spec": {"addresses": ["192.0.2.1"]}}
    assert claims(entry) == []
    assert claims({**entry, "status": {"addresses": [{"value": "240.240.0.8", "host": "h"}]}}) == ["240.240.0.8"]
