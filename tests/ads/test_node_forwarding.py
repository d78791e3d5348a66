"""Machines' calls that a process in front hands on to one that decides."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from plait.ads.node_forwarding import Forwarding, named
from plait.ads.node_service import NodeClient, by_certificate, handler
from plait.ads.transport import Channels, GrpcServer, TlsIdentity, channel, server_credentials
from plait.errors import ConflictError, ForbiddenError, NotFoundError, PlaitError, UnreachableError
from plait.identity import spiffe
from plait.identity.svid import new_key, signing_request
from tests.ads.live import DOMAIN, Control, authority, node_identity
from tests.ads.test_transport import Backend, workload_identity

pytestmark = pytest.mark.integration
Answered = Callable[[str, Mapping[str, Any]], Awaitable[None]]


async def nothing(_method: str, _answer: Mapping[str, Any]) -> None:
    """Lets every answer pass."""


@asynccontextmanager
async def behind(backend: Backend, folder: Path) -> AsyncGenerator[str]:
    """The process that decides, on a unix socket; its address."""
    server = GrpcServer([handler(backend, named)])
    address = f"unix:{folder}/behind"
    await server.listen(address)
    try:
        yield address
    finally:
        await server.close()


@asynccontextmanager
async def front(control: Control, address: str, answered: Answered = nothing) -> AsyncGenerator[str]:
    """The process in front, on mutual TLS; where machines reach it."""
    towards = channel(address, None)
    server = GrpcServer([Forwarding(towards, by_certificate(DOMAIN), answered)])
    port = await server.listen("127.0.0.1:0", server_credentials(control.tls))
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.close()
        await towards.close()


@asynccontextmanager
async def calling(address: str, identity: TlsIdentity) -> AsyncGenerator[NodeClient]:
    """A machine's client."""
    channels = Channels(address, lambda: identity)
    try:
        yield NodeClient(channels, limit=5)
    finally:
        await channels.close()


def test_answers_and_refusals_pass_as_they_are(tmp_path: Path) -> None:
    """Through a process in front a machine gets what it would get directly, under the name that its certificate has."""

    async def main() -> None:
        control = Control(authority=authority(tmp_path))
        backend = Backend(control)
        async with (
            behind(backend, tmp_path) as address,
            front(control, address) as outside,
            calling(outside, node_identity(control.authority)) as client,
        ):
            request = signing_request(new_key())
            assert b"BEGIN CERTIFICATE" in await client.sign(request, "default", "web")
            assert b"BEGIN CERTIFICATE" in await client.renew(request)
            assert (await client.register({"metadata": {}}))["node"] == "machine-1"
            assert await client.settings({"roots": 1}) == {"range": "10.1.0.0/24", "node": "machine-1", "roots": 1}
            await client.report([{"rate": 3}])
            assert backend.edges == [{"rate": 3}]
            with pytest.raises(ForbiddenError, match="machine-1 may not sign for forbidden"):
                await client.sign(request, "forbidden", "web")
            with pytest.raises(ConflictError, match="the object changed"):
                await client.register({"conflict": True})
            with pytest.raises(NotFoundError, match="default/web does not exist"):
                await client.deregister("default", "web")

    asyncio.run(main())


def test_only_machines_get_through(tmp_path: Path) -> None:
    """A workload's certificate is turned away in front; a call behind that names no machine is refused there."""

    async def main() -> None:
        control = Control(authority=authority(tmp_path))
        backend = Backend(control)
        async with behind(backend, tmp_path) as address, front(control, address) as outside:
            async with calling(outside, workload_identity(control)) as client:
                with pytest.raises(
                    ForbiddenError, match=f"{spiffe.workload_id(DOMAIN, 'default', 'web')} is no machine"
                ):
                    await client.report([{"rate": 3}])
            unnamed = NodeClient(Channels(address, lambda: None), limit=5)
            with pytest.raises(ForbiddenError, match="names no machine"):
                await unnamed.report([{"rate": 3}])
            assert backend.edges == []

    asyncio.run(main())


def test_an_answer_waits_for_what_it_needs_in_front(tmp_path: Path) -> None:
    """The process in front sees each answer and has its time before the machine gets it."""

    async def main() -> None:
        control = Control(authority=authority(tmp_path))
        told: list[str] = []
        ready = asyncio.Event()

        async def answered(method: str, answer: Mapping[str, Any]) -> None:
            told.append(f"{method} {json.dumps(answer)}")
            await ready.wait()

        async with (
            behind(Backend(control), tmp_path) as address,
            front(control, address, answered) as outside,
            calling(outside, node_identity(control.authority)) as client,
        ):
            call = asyncio.ensure_future(client.register({"name": "web"}))
            done, _ = await asyncio.wait({call}, timeout=0.5)
            assert not done
            assert told == ['Register {"name": "web", "node": "machine-1"}']
            ready.set()
            assert (await call)["name"] == "web"

    asyncio.run(main())


def test_who_decides_is_gone(tmp_path: Path) -> None:
    """The machine hears that control cannot be reached, and may ask again."""

    async def main() -> None:
        control = Control(authority=authority(tmp_path))
        async with behind(Backend(control), tmp_path) as address:
            pass
        async with (
            front(control, address) as outside,
            calling(outside, node_identity(control.authority)) as client,
        ):
            with pytest.raises(UnreachableError, match="control cannot be reached"):
                await client.settings({})
            async with behind(Backend(control), tmp_path):
                for _ in range(100):
                    try:
                        assert (await client.settings({}))["node"] == "machine-1"
                        return
                    except PlaitError:
                        await asyncio.sleep(0.05)
                raise AssertionError("it does not find who decides again")

    asyncio.run(main())
