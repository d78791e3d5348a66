"""What a machine's relay answers for control, and when it does not ask it."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from envoy.service.ratelimit.v3 import rls_pb2

from plait.ads.node_service import by_certificate
from plait.ads.rate_limit_relay import RATE_LIMITS, Refusals, handler
from plait.ads.transport import Channels, GrpcServer, TlsIdentity, server_credentials
from plait.identity import spiffe
from plait.identity.svid import new_key, signing_request
from plait.limiting.counting import in_memory
from plait.limiting.service import RateLimits
from plait.model.protection import CountedBy, Quota, SharedLimit
from tests import builders as b
from tests.ads.live import DOMAIN, NODE, Control, authority, free_port, node_identity

Response = rls_pb2.RateLimitResponse


def answer(name: str, *waits: float) -> bytes:
    """An answer with a status for each time to wait."""
    code = Response.Code.Value(name)
    message = Response(overall_code=code)
    for wait in waits:
        message.statuses.add(code=code).duration_until_reset.FromMilliseconds(int(wait * 1000))
    return message.SerializeToString()


def test_a_refusal_is_kept_until_a_request_may_pass_and_a_second_at_most() -> None:
    """What may pass is always asked."""
    now = [10.0]
    refusals = Refusals(lambda: now[0])
    refusals.take(b"passes", answer("OK", 60))
    assert refusals.find(b"passes") is None
    for wait, kept in ((0.2, 0.19), (3600, 0.99)):
        refused = answer("OVER_LIMIT", wait)
        refusals.take(b"asked", refused)
        now[0] += kept
        assert refusals.find(b"asked") == refused
        assert refusals.find(b"other") is None
        now[0] += 0.02
        assert refusals.find(b"asked") is None


def test_so_many_refusals_are_kept_and_no_more() -> None:
    """The oldest give way."""
    refusals = Refusals(lambda: 0.0)
    for number in range(1500):
        refusals.take(str(number).encode(), answer("OVER_LIMIT", 5))
    assert refusals.find(b"0") is None
    assert refusals.find(b"1499") is not None
    assert sum(refusals.find(str(number).encode()) is not None for number in range(1500)) == 1000


class Mesh:
    """Control that counts a limit of services that the machine serves, and the machine's relay, at a unix socket."""

    def __init__(self, folder: Path) -> None:
        self.control = Control(authority=authority(folder))
        self.port = free_port()
        self.path = folder / "relay"
        quotas = (Quota(count=2, per=86400),)
        limit = SharedLimit(service=b.name("web"), counted_by=CountedBy.ALL, quotas=quotas)
        limits = {"default/web": {"all": limit}}
        self.service = RateLimits(lambda machine: limits if machine == NODE else {}, in_memory())
        self.question = rls_pb2.RateLimitRequest(domain="plait")
        entries = self.question.descriptors.add().entries
        entries.add(key="service", value="default/web")
        entries.add(key="limit", value="all")

    @asynccontextmanager
    async def counting(self) -> AsyncGenerator[None]:
        """Control answers meanwhile."""
        server = GrpcServer([self.service.handler(by_certificate(DOMAIN))])
        await server.listen(f"127.0.0.1:{self.port}", server_credentials(self.control.tls))
        try:
            yield
        finally:
            await server.close()

    @asynccontextmanager
    async def relay(self, identity: TlsIdentity) -> AsyncGenerator[Callable[[], Awaitable[str]]]:
        """A relay that shows this certificate; a way to ask it, for the answer's code or that of the failure."""
        channels = Channels(f"127.0.0.1:{self.port}", lambda: identity)
        server = GrpcServer([handler(channels)])
        await server.listen(f"unix:{self.path}")
        async with grpc.aio.insecure_channel(f"unix:{self.path}") as asking, channels.lease():
            call = asking.unary_unary(
                "/{}/{}".format(*RATE_LIMITS),
                request_serializer=rls_pb2.RateLimitRequest.SerializeToString,
                response_deserializer=Response.FromString,
            )

            async def ask() -> str:
                try:
                    return Response.Code.Name((await call(self.question, timeout=5.0)).overall_code)
                except grpc.aio.AioRpcError as error:
                    return error.code().name

            yield ask
        await server.close()
        await channels.close()


async def until_known(ask: Callable[[], Awaitable[str]]) -> str:
    """The first answer of a control that is reached at last."""
    found = ""
    for _ in range(500):
        found = await ask()
        if found != "UNAVAILABLE":
            break
        await asyncio.sleep(0.02)
    return found


@pytest.mark.integration
def test_a_relay_asks_control_and_says_at_once_that_it_is_away(tmp_path: Path) -> None:
    """Before control is there, while it is, and after it."""

    async def main() -> None:
        mesh = Mesh(tmp_path)
        async with mesh.relay(node_identity(mesh.control.authority)) as ask:
            began = time.monotonic()
            assert await ask() == "UNAVAILABLE"
            assert time.monotonic() - began < 1
            async with mesh.counting():
                found = [await until_known(ask), *[await ask() for _ in range(20)]]
                assert found == ["OK", "OK", *["OVER_LIMIT"] * 19]
                assert mesh.service.asked == {"passed": 2, "limited": 1, "failed": 0}
            await asyncio.sleep(1.1)
            assert await ask() == "UNAVAILABLE"

    asyncio.run(main())


@pytest.mark.integration
def test_only_machines_may_ask_and_only_for_what_they_serve(tmp_path: Path) -> None:
    """A workload's certificate is refused; another machine is answered, and nothing is counted."""

    async def main() -> None:
        mesh = Mesh(tmp_path)
        issuer = mesh.control.authority
        key = new_key()
        chain = issuer.sign(signing_request(key), spiffe.workload_id(DOMAIN, "default", "web"))
        workload = TlsIdentity(chain=chain, key=key, roots=issuer.bundle)
        async with mesh.counting():
            async with mesh.relay(workload) as ask:
                assert await until_known(ask) == "PERMISSION_DENIED"
            async with mesh.relay(node_identity(issuer, "machine-2")) as ask:
                assert [await until_known(ask), *[await ask() for _ in range(5)]] == ["OK"] * 6
            async with mesh.relay(node_identity(issuer)) as ask:
                assert [await until_known(ask), await ask(), await ask()] == ["OK", "OK", "OVER_LIMIT"]

    asyncio.run(main())
