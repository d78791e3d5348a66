"""An etcd of a test's own."""

import asyncio
import contextlib
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from plait.errors import PlaitError
from plait.store.etcd import EtcdStore
from plait.store.etcd_client import EtcdClient, EtcdTls
from plait.store.etcd_keys import Keys
from plait.store.seal import Seal

SEAL = Seal(b"k" * 32)


def free_port() -> int:
    """A port of loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Member:
    """One member, which can be killed and started again."""

    def __init__(self, folder: Path, tls: EtcdTls | None = None) -> None:
        """With `tls` it shows that certificate, and lets in only who shows one of the same roots."""
        self._tls = tls
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self._folder = folder
        self._peers = f"http://127.0.0.1:{free_port()}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it serves."""
        self._folder.mkdir(exist_ok=True)
        url = f"http{'s' if self._tls else ''}://{self.address}"
        command = ["etcd", "--data-dir", str(self._folder / "data"), "--listen-client-urls", url]
        command += ["--advertise-client-urls", url, "--listen-peer-urls", self._peers]
        command += ["--initial-advertise-peer-urls", self._peers, "--initial-cluster", f"default={self._peers}"]
        command += self._secured()
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + 15
        while not self._serves():
            assert time.monotonic() < deadline, (self._folder / "log").read_text()[-2000:]
            time.sleep(0.05)

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def empty(self) -> None:
        """Kill it, lose all that it held, and start it again."""
        self.kill()
        shutil.rmtree(self._folder / "data")
        self.start()

    def _secured(self) -> list[str]:
        if self._tls is None:
            return []
        words = ["--client-cert-auth"]
        for flag, content in (
            ("--trusted-ca-file", self._tls.roots),
            ("--cert-file", self._tls.chain),
            ("--key-file", self._tls.key),
        ):
            path = self._folder / flag.strip("-")
            path.write_bytes(content or b"")
            words += [flag, str(path)]
        return words

    def _serves(self) -> bool:
        async def ask() -> None:
            client = EtcdClient([self.address], self._tls, patience=0.1)
            try:
                await client.call("RangeRequest", key=b"/")
            finally:
                await client.close()

        try:
            asyncio.run(ask())
        except PlaitError:
            return False
        return True


@contextlib.contextmanager
def etcd(tls: EtcdTls | None = None) -> Generator[Member]:
    """A member with nothing in it."""
    folder = Path(tempfile.mkdtemp(prefix="plait-etcd-"))
    member = Member(folder, tls)
    try:
        member.start()
        yield member
    finally:
        member.kill()
        shutil.rmtree(folder)


def prefix() -> str:
    """A part of etcd that no other test uses."""
    return f"/test-{secrets.token_hex(4)}"


@asynccontextmanager
async def opened(member: Member, within: str, owner: str = "a", **options: Any) -> AsyncGenerator[EtcdStore]:
    """A store in that part of etcd, as one control has it."""
    client = EtcdClient([member.address])
    store = await EtcdStore.open(client, keys=Keys(within, SEAL), owner=owner, **options)
    try:
        yield store
    finally:
        await store.close()
        await client.close()
