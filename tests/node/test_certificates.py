"""Certificates of workloads: made here, kept, renewed in time."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2

from plait.errors import RefusedError, UnreachableError
from plait.identity.authority import open_authority
from plait.identity.spiffe import workload_id
from plait.identity.svid import Svid
from plait.model.ids import ObjectName
from plait.node.certificates import Account, Certificates, secrets
from plait.node.renewal import RenewalTimes
from plait.node.state import WorkloadDirectory
from tests import clock

DOMAIN = "cluster.local"


class FakeControl:
    """Signs with a real authority; can be away, and counts."""

    def __init__(self, folder: Path) -> None:
        self.authority = open_authority(folder / "ca", DOMAIN)
        self.away = False
        self.other = ""
        self.signed = 0
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)

    async def sign(self, request: bytes, namespace: str, service_account: str) -> bytes:
        if self.away:
            raise UnreachableError("away")
        self.signed += 1
        return self.authority.sign(
            request, workload_id(DOMAIN, namespace, self.other or service_account), now=self.now()
        )

    async def register(self, document: Mapping[str, Any]) -> Mapping[str, Any]:
        raise NotImplementedError

    async def deregister(self, namespace: str, name: str) -> None:
        raise NotImplementedError

    async def report(self, edges: object) -> None:
        raise NotImplementedError


@pytest.fixture
def control(tmp_path: Path) -> FakeControl:
    return FakeControl(tmp_path)


@pytest.fixture
def account(tmp_path: Path) -> Account:
    (tmp_path / "workload").mkdir()
    return Account.of(ObjectName(namespace="default", name="web"), "shop", WorkloadDirectory(tmp_path / "workload"))


def later(hours: float) -> datetime:
    return datetime.now(UTC) + timedelta(hours=hours)


def obtained(control: FakeControl, account: Account, *, hours: float = 0.0) -> Svid:
    return asyncio.run(Certificates(control, DOMAIN, times=RenewalTimes(now=lambda: later(hours))).obtain(account))


def test_key_and_chain_are_private_files_and_used_again(control: FakeControl, account: Account) -> None:
    """A second start asks nobody, and nobody but the owner reads the key."""
    first = obtained(control, account)
    assert first.spiffe_id == f"spiffe://{DOMAIN}/ns/default/sa/shop"
    assert {path.stat().st_mode & 0o777 for path in (account.directory.key, account.directory.chain)} == {0o600}
    assert obtained(control, account).chain == first.chain
    assert control.signed == 1


def test_one_past_half_its_life_is_renewed_with_a_new_key(control: FakeControl, account: Account) -> None:
    """At a start after 12 of 24 hours a new one is asked for."""
    first = obtained(control, account)
    second = obtained(control, account, hours=12.5)
    assert second.key != first.key
    assert control.signed == 2


def test_a_kept_one_serves_while_control_is_away(control: FakeControl, account: Account) -> None:
    """Past half its life it still works if nothing better can be had; an expired one does not."""
    first = obtained(control, account)
    control.away = True
    assert obtained(control, account, hours=20).chain == first.chain
    with pytest.raises(UnreachableError):
        obtained(control, account, hours=25)


def test_another_identity_is_not_accepted(control: FakeControl, account: Account) -> None:
    """A certificate for anybody else is refused and not kept."""
    control.other = "thief"
    with pytest.raises(RefusedError, match="thief"):
        obtained(control, account)
    assert not account.directory.chain.exists()


def test_a_damaged_file_is_replaced(control: FakeControl, account: Account) -> None:
    """A key that does not fit its certificate is made anew."""
    obtained(control, account)
    account.directory.key.write_text("rubbish")
    obtained(control, account)
    assert control.signed == 2


def test_renewals_survive_failures(control: FakeControl, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each certificate is replaced at half its life; while control is away the old one serves."""
    used: list[Svid] = []

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        began = datetime.now(UTC)
        control.now = lambda: began + timedelta(seconds=loop.time())
        certificates = Certificates(control, DOMAIN, times=RenewalTimes(now=control.now), chance=lambda: 0.5)
        first = await certificates.obtain(account)
        renewing = asyncio.create_task(certificates.renewals(account, first, used.append))
        await asyncio.sleep(10 * 3600)
        assert not used
        control.away = True
        await asyncio.sleep(3 * 3600)
        assert not used
        control.away = False
        await asyncio.sleep(120)
        assert len(used) == 1
        renewing.cancel()

    monkeypatch.setattr(asyncio, "to_thread", _at_once)
    clock.run(scenario())


async def _at_once(function: Any, *arguments: Any) -> Any:
    """In a loop whose time jumps, nothing may happen in another thread."""
    return function(*arguments)


def test_secrets_are_what_envoy_asks_for(control: FakeControl, account: Account) -> None:
    """The certificate and the trust bundle, under the names that every cluster refers to, and no key in a repr."""
    identity = obtained(control, account)
    found = secrets(identity, b"ROOT")
    own = secret_pb2.Secret.FromString(found["identity"].body)
    assert own.tls_certificate.private_key.inline_bytes == identity.key
    assert secret_pb2.Secret.FromString(found["bundle"].body).validation_context.trusted_ca.inline_bytes == b"ROOT"
    assert "PRIVATE" not in repr(found) + repr(identity)


def test_what_the_system_trusts_is_a_secret_too(control: FakeControl, account: Account) -> None:
    """For calls to outside; it names a file of this machine, since it is large and many proxies have it."""
    found = secrets(obtained(control, account), b"ROOT")
    named = secret_pb2.Secret.FromString(found["system"].body).validation_context.trusted_ca.filename
    assert b"BEGIN CERTIFICATE" in Path(named).read_bytes()
