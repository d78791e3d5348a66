"""What the store in etcd promises beside the rest: several writers, lost answers, lost history, nothing to be read."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from plait.errors import ConflictError, RefusedError, StorageError, UnreachableError
from plait.identity.authority import open_authority
from plait.store.etcd import EtcdStore
from plait.store.etcd_client import EtcdClient, EtcdTls, UnknownOutcomeError
from plait.store.etcd_keys import Keys
from plait.store.seal import Seal
from plait.store.store import Document
from tests.store.documents import drop, key, put
from tests.store.etcd import Member, etcd, opened, prefix

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]

_WRITER = """
import asyncio, sys
from tests.store.documents import put
from tests.store.etcd import opened

class At:
    address = sys.argv[1]

async def write():
    async with opened(At, sys.argv[2]) as store:
        number = int(sys.argv[3])
        while True:
            number += 1
            await store.commit([put(f"{part}-{number % 7}", number=number) for part in "abc"])
            print(number, flush=True)

asyncio.run(write())
"""


@pytest.fixture(scope="module")
def member() -> Iterator[Member]:
    with etcd() as started:
        yield started


@pytest.fixture
def own() -> Iterator[Member]:
    """One that a test may kill."""
    with etcd() as started:
        yield started


def _number(document: Document | None) -> int:
    assert document is not None
    return int(document["spec"]["number"])


async def _until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(15):
        while not await holds():  # noqa: ASYNC110 - it is seen from outside
            await asyncio.sleep(0.02)


def test_two_writers_lose_no_update(member: Member) -> None:
    """Of two that change one object at once, each sees what the other has made of it."""

    async def count(store: EtcdStore) -> None:
        for _ in range(25):
            while True:
                old = await store.get(key("a"))
                assert old is not None
                expected = int(old["metadata"]["resourceVersion"])
                try:
                    await store.commit([put("a", number=_number(old) + 1, expected=expected)])
                    break
                except ConflictError:
                    continue

    async def play() -> None:
        within = prefix()
        async with opened(member, within, "a") as one, opened(member, within, "b") as two:
            await one.commit([put("a", number=0)])
            await _until(lambda: _has(two, "a"))
            await asyncio.gather(count(one), count(two))
            assert _number(await one.get(key("a"))) == 50

    asyncio.run(play())


async def _has(store: EtcdStore, name: str) -> bool:
    return await store.get(key(name)) is not None


def test_kill_9_loses_no_acknowledged_commit(member: Member) -> None:
    """After each of three kills every acknowledged set is there, and no set is there in part."""
    within, acknowledged = prefix(), 0
    for _ in range(3):
        command = [sys.executable, "-c", _WRITER, member.address, within, str(acknowledged)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            for line in writer.stdout:
                acknowledged = int(line)
                if acknowledged % 60 == 0:
                    os.kill(writer.pid, signal.SIGKILL)

        async def check(acknowledged: int = acknowledged) -> None:
            async with opened(member, within) as store:
                for number in range(max(1, acknowledged - 6), acknowledged + 1):
                    parts = [await store.get(key(f"{part}-{number % 7}")) for part in "abc"]
                    numbers = {_number(part) for part in parts}
                    assert len(numbers) == 1
                    assert numbers.pop() >= number

        asyncio.run(check())


def test_a_large_set_is_all_or_nothing(member: Member) -> None:
    """Three thousand objects come in one commit, or none of them does; a set that etcd cannot take is refused."""

    async def play() -> None:
        within = prefix()
        async with opened(member, within, "a") as one, opened(member, within, "b") as two:
            stream = two.watch(0)
            stored = await one.commit([put(f"s{number}") for number in range(3000)])
            assert len({document["metadata"]["resourceVersion"] for document in stored}) == 1
            assert len(await asyncio.wait_for(anext(stream), 10)) == 3000
            with pytest.raises(ConflictError, match="s7 exists already"):
                await one.commit([*(put(f"t{number}") for number in range(300)), put("s7", expected=0)])
            assert await one.get(key("t1")) is None
            await two.commit([drop(f"s{number}") for number in range(2999)])
            assert len((await two.list()).items) == 1
            with pytest.raises(RefusedError, match="larger --max-txn-ops"):
                await one.commit([put(f"u{number}") for number in range(6000)])
            with pytest.raises(StorageError, match="max-request-bytes"):
                await one.commit([put("large", text="x" * 2_000_000)])
            assert len((await one.list()).items) == 1

    asyncio.run(play())


@pytest.mark.parametrize("reached", [True, False])
def test_a_lost_answer_is_looked_up(member: Member, monkeypatch: pytest.MonkeyPatch, reached: bool) -> None:
    """A commit whose answer is lost is made once, whether or not it had reached etcd."""
    once = [True]
    send = EtcdClient.send

    async def losing(self: EtcdClient, name: str, request: Any, *, again: bool = True) -> Any:
        if name == "TxnRequest" and once:
            once.clear()
            if reached:
                await send(self, name, request, again=again)
            raise UnknownOutcomeError("the answer is lost")
        return await send(self, name, request, again=again)

    async def play() -> None:
        async with opened(member, prefix()) as store:
            stream = store.watch(0)
            monkeypatch.setattr(EtcdClient, "send", losing)
            (stored,) = await store.commit([put("a", expected=0, number=1)])
            assert await store.get(key("a")) == stored
            assert len(await anext(stream)) == 1
            await store.commit([put("b")])
            assert [change.key.name for change in await anext(stream)] == ["b"]

    asyncio.run(play())


def test_a_compacted_history_is_read_again(own: Member) -> None:
    """Who was away while etcd dropped what happened tells its watchers the difference, and none is missed."""

    async def play() -> None:
        within = prefix()
        async with opened(own, within, "b") as two:
            await two.commit([put("changes"), put("goes"), put("stays")])
            async with opened(own, within, "a") as one:
                stream = one.watch(one.revision)
                following = one._following  # pyright: ignore[reportPrivateUsage]
                assert following is not None
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)
                (changed,) = await two.commit([put("changes", number=1)])
                await two.commit([drop("goes")])
                await two.commit([put("comes")])
                client = EtcdClient([own.address])
                await client.call("CompactionRequest", revision=two.revision)
                await client.close()
                one._following = asyncio.create_task(one._follow())  # pyright: ignore[reportPrivateUsage]
                told = [(change.type, change.key.name) for change in await asyncio.wait_for(anext(stream), 10)]
                assert told == [("MODIFIED", "changes"), ("ADDED", "comes"), ("DELETED", "goes")]
                assert await one.get(key("changes")) == changed
                assert (await one.list()).items == (await two.list()).items
                await two.commit([put("stays", number=2)])
                assert [change.key.name for change in await asyncio.wait_for(anext(stream), 10)] == ["stays"]

    asyncio.run(play())


def test_etcd_may_be_away(own: Member) -> None:
    """While etcd is away everything can be read and a change is refused in time; then all goes on, with no gap."""

    async def play() -> None:
        async with opened(own, prefix()) as store:
            stream = store.watch(0)
            await store.commit([put("a")])
            assert [change.key.name for change in await anext(stream)] == ["a"]
            await asyncio.to_thread(own.kill)
            with pytest.raises(UnreachableError, match="etcd at 127"):
                await store.commit([put("b")])
            assert await store.get(key("a")) is not None
            await _until(lambda: _says(store, "cannot be reached"))
            await asyncio.to_thread(own.start)
            await store.commit([put("c")])
            names = [change.key.name for change in await asyncio.wait_for(anext(stream), 10)]
            assert names[-1] == "c" or [change.key.name for change in await anext(stream)] == ["c"]
            assert (await store.summary()).problems == ()

    asyncio.run(play())


async def _says(store: EtcdStore, problem: str) -> bool:
    return any(problem in item for item in (await store.summary()).problems)


def test_an_older_state_is_not_followed(own: Member) -> None:
    """An etcd that was emptied takes nothing away: what was known is served, nothing is written, and it is said."""

    async def play() -> None:
        async with opened(own, prefix()) as store:
            for number in range(20):
                await store.commit([put("a", number=number)])
            await asyncio.to_thread(own.empty)
            await _until(lambda: _says(store, "it was restored, or emptied"))
            assert _number(await store.get(key("a"))) == 19
            with pytest.raises(StorageError, match="restart the controls"):
                await store.commit([put("b")])

    asyncio.run(play())


def test_a_revision_that_another_told_of_is_waited_for(member: Member) -> None:
    """A client that read at one control may watch at the other from there."""

    async def play() -> None:
        within = prefix()
        async with opened(member, within, "a") as one, opened(member, within, "b") as two:
            for number in range(20):
                (stored,) = await one.commit([put("a", number=number)])
                stream = two.watch(int(stored["metadata"]["resourceVersion"]))
                following = asyncio.ensure_future(anext(stream))
                await asyncio.sleep(0)
                await one.commit([put("b", number=number)])
                assert [change.key.name for change in await asyncio.wait_for(following, 5)] == ["b"]

    asyncio.run(play())


def test_secrets_cannot_be_read_in_etcd(member: Member) -> None:
    """A Secret is sealed; a control with another key is told so, and where to get the right one."""

    async def play() -> None:
        within = prefix()
        async with opened(member, within) as store:
            await store.commit([put("s", kind="Secret", text="swordfish"), put("plain", text="trout")])
            client = EtcdClient([member.address])
            pairs, _ = await client.read_all(within.encode())
            raw = b"".join(bytes(pair.value) for pair in pairs)
            assert b"trout" in raw
            assert b"swordfish" not in raw
            with pytest.raises(RefusedError, match="sealed with another key"):
                await EtcdStore.open(client, keys=Keys(within, Seal(b"x" * 32)), owner="b")
            await client.close()

    asyncio.run(play())


def test_what_is_unique_is_given_once(member: Member) -> None:
    """Of two that take the same for different objects one is refused, however late they hear of each other."""

    def taken(document: Document) -> list[str]:
        return [str(document["spec"]["address"])] if "address" in document["spec"] else []

    async def take(store: EtcdStore, name: str) -> str:
        for number in range(10):
            try:
                await store.commit([put(name, address=f"240.0.0.{number}", expected=0)])
                return f"240.0.0.{number}"
            except ConflictError:
                continue
        raise AssertionError("nothing was free")

    async def play() -> None:
        within = prefix()
        async with (
            opened(member, within, "a", unique=taken) as one,
            opened(member, within, "b", unique=taken) as two,
        ):
            found = await asyncio.gather(
                *(take(store, f"{store is one}-{at}") for at in range(4) for store in (one, two))
            )
            assert sorted(found) == [f"240.0.0.{number}" for number in range(8)]
            await one.commit([drop("True-0")])
            await two.commit([put("again", address=found[0])])

    asyncio.run(play())


def test_etcd_with_tls(tmp_path: Path) -> None:
    """etcd is verified, and lets in whom its authority has certified; who is not says so in time."""
    authority = open_authority(tmp_path / "ca", "cluster.local")
    own, stranger = (
        item.server_credentials([], ["127.0.0.1"])
        for item in (authority, open_authority(tmp_path / "b", "other.local"))
    )
    tls = EtcdTls(roots=authority.bundle, chain=own.chain, key=own.key)

    async def play(member: Member) -> None:
        client = EtcdClient([member.address], tls)
        store = await EtcdStore.open(client, keys=Keys(prefix(), None), owner="a")
        stream = store.watch(store.revision)
        (stored,) = await store.commit([put("a")])
        assert [change.document for change in await anext(stream)] == [stored]
        await store.close()
        await client.close()
        strangers = EtcdTls(roots=authority.bundle, chain=stranger.chain, key=stranger.key)
        for wrong in (None, EtcdTls(roots=authority.bundle), strangers):
            other = EtcdClient([member.address], wrong, patience=0.5)
            with pytest.raises(UnreachableError, match="check that etcd runs"):
                await other.call("RangeRequest", key=b"/")
            await other.close()

    with etcd(tls) as member:
        asyncio.run(play(member))
