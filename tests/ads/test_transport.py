"""Streams and calls over mutual TLS: who gets in, certificates that rotate, refusals that keep their words."""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from plait.ads.client import Relay
from plait.ads.node_service import NodeClient, by_certificate, handler
from plait.ads.server import Peer, Session, StreamEnd
from plait.ads.stream import DeltaStream
from plait.ads.transport import Channels, GrpcServer, TlsIdentity, server_credentials
from plait.errors import ConflictError, DeadlineError, ForbiddenError, NotFoundError, PlaitError, UnreachableError
from plait.identity import spiffe
from plait.identity.svid import new_key, signing_request
from tests.ads.live import DOMAIN, PROXY, Control, authority, free_port, node_identity

pytestmark = pytest.mark.integration


def workload_identity(control: Control) -> TlsIdentity:
    key = new_key()
    chain = control.authority.sign(signing_request(key), spiffe.workload_id(DOMAIN, "default", "web"))
    return TlsIdentity(chain=chain, key=key, roots=control.authority.bundle)


async def problem_of(control: Control, identity: TlsIdentity, directory: Path) -> str:
    """What a relay with that certificate says of its connection to control."""
    relay = Relay(directory=directory / "relay", channels=Channels(f"127.0.0.1:{control.port}", lambda: identity))
    relay.add(PROXY)
    serving = asyncio.ensure_future(relay.serve(f"unix:{directory}/ads.sock"))
    try:
        async with asyncio.timeout(10):
            while True:
                await asyncio.sleep(0.02)
                (state,) = relay.states()
                if state.problem or state.connected:
                    return state.problem
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


def test_only_registered_machines_of_this_mesh_get_in(tmp_path: Path) -> None:
    """A workload's certificate, another machine's, and one of another authority are refused; ours is not."""

    async def main() -> None:
        control = Control(authority=authority(tmp_path))
        stranger = node_identity(authority(tmp_path / "other"))
        async with control.running():
            assert "is no machine" in await problem_of(control, workload_identity(control), tmp_path)
            other = node_identity(control.authority, "machine-2")
            assert "not registered with machine machine-2" in await problem_of(control, other, tmp_path)
            mixed = TlsIdentity(chain=stranger.chain, key=stranger.key, roots=control.authority.bundle)
            assert await problem_of(control, mixed, tmp_path)
            assert await problem_of(control, stranger, tmp_path)
            assert await problem_of(control, node_identity(control.authority), tmp_path) == ""

    asyncio.run(main())


def test_certificates_rotate_without_a_restart(tmp_path: Path) -> None:
    """Control shows a new certificate at the next handshake, a relay's new channel shows its renewed one."""

    async def serial(control: Control) -> int:
        context = ssl.create_default_context(cadata=control.authority.bundle.decode())
        mine = node_identity(control.authority)
        (tmp_path / "chain.pem").write_bytes(mine.chain)
        (tmp_path / "key.pem").write_bytes(mine.key)
        context.load_cert_chain(tmp_path / "chain.pem", tmp_path / "key.pem")
        context.set_alpn_protocols(["h2"])
        _, writer = await asyncio.open_connection(
            "127.0.0.1", control.port, ssl=context, server_hostname=spiffe.CONTROL_SERVER_NAME
        )
        der = writer.get_extra_info("ssl_object").getpeercert(True)
        writer.close()
        return x509.load_der_x509_certificate(der).serial_number

    async def main() -> None:
        control = Control(authority=authority(tmp_path))
        async with control.running():
            assert await serial(control) != await serial(control)
            identities = [node_identity(control.authority)]
            channels = Channels(f"127.0.0.1:{control.port}", lambda: identities[-1])
            async with channels.lease() as first, channels.lease() as second:
                assert first is second
                identities.append(node_identity(control.authority))
                async with channels.lease() as third:
                    assert third is not first
            await channels.close()

    asyncio.run(main())


def test_a_taken_port_is_told(tmp_path: Path) -> None:
    """Listening where another listens is refused in a sentence, not shared in silence."""

    async def main() -> None:
        control = Control(authority=authority(tmp_path))
        async with control.running():
            with pytest.raises(PlaitError, match=f"cannot listen on 127.0.0.1:{control.port}"):
                await GrpcServer([]).listen(f"127.0.0.1:{control.port}", server_credentials(control.tls))

    asyncio.run(main())


class Backend:
    """A control plane that knows one workload."""

    def __init__(self, control: Control) -> None:
        self.control = control
        self.edges: list[Mapping[str, Any]] = []

    async def sign(self, node: str, request: bytes, namespace: str, service_account: str) -> bytes:
        if namespace == "forbidden":
            raise ForbiddenError(f"{node} may not sign for {namespace}", "ask for a token that allows it")
        return self.control.authority.sign(request, spiffe.workload_id(DOMAIN, namespace, service_account))

    async def renew(self, node: str, request: bytes) -> bytes:
        return self.control.authority.sign(request, spiffe.node_id(DOMAIN, node))

    async def register(self, node: str, document: Mapping[str, Any]) -> Mapping[str, Any]:
        if document.get("conflict"):
            raise ConflictError("the object changed", "read it again")
        return {**document, "node": node}

    async def deregister(self, node: str, namespace: str, name: str) -> None:
        raise NotFoundError(f"{namespace}/{name} does not exist", "")

    async def report(self, node: str, edges: Sequence[Mapping[str, Any]]) -> None:
        self.edges.extend(edges)

    async def settings(self, node: str, holds: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"range": "10.1.0.0/24", "node": node, **holds}


def test_a_node_calls_control_and_gets_its_exceptions(tmp_path: Path) -> None:
    """Every call answers for the machine that the certificate names; refusals arrive as they were raised."""

    async def main() -> None:
        control = Control(authority=authority(tmp_path))
        backend = Backend(control)
        server = GrpcServer([handler(backend, by_certificate(DOMAIN))])
        port = await server.listen("127.0.0.1:0", server_credentials(control.tls))
        mine = node_identity(control.authority)
        client = NodeClient(Channels(f"127.0.0.1:{port}", lambda: mine))
        request = signing_request(new_key())

        chain = x509.load_pem_x509_certificates(await client.sign(request, "default", "web"))
        assert len(chain) == 2
        assert x509.load_pem_x509_certificates(await client.renew(request))
        assert await client.register({"kind": "WorkloadEntry"}) == {"kind": "WorkloadEntry", "node": "machine-1"}
        assert await client.settings({"roots": ["a"]}) == {
            "range": "10.1.0.0/24",
            "node": "machine-1",
            "roots": ["a"],
        }
        await client.report([{"from": "a", "to": "b"}])
        assert backend.edges == [{"from": "a", "to": "b"}]
        with pytest.raises(ForbiddenError, match="may not sign for forbidden; ask for a token"):
            await client.sign(request, "forbidden", "web")
        with pytest.raises(ConflictError):
            await client.register({"conflict": True})
        with pytest.raises(NotFoundError):
            await client.deregister("default", "web")

        workload = workload_identity(control)
        with pytest.raises(ForbiddenError, match="is no machine"):
            await NodeClient(Channels(f"127.0.0.1:{port}", lambda: workload)).settings({})
        await server.close()

    asyncio.run(main())


def test_a_control_that_is_away_is_told(tmp_path: Path) -> None:
    """A call without anybody there ends with its limit."""

    async def main() -> None:
        mine = node_identity(authority(tmp_path))
        client = NodeClient(Channels(f"127.0.0.1:{free_port()}", lambda: mine), limit=0.3)
        with pytest.raises(UnreachableError, match="cannot be reached"):
            await client.settings({})

    asyncio.run(main())


def test_waiting_for_what_never_comes_ends_in_a_sentence(tmp_path: Path) -> None:
    """Without Envoy a proxy is not warm; a proxy that is not here is not found."""

    async def main() -> None:
        mine = node_identity(authority(tmp_path))
        channels = Channels(f"127.0.0.1:{free_port()}", lambda: mine)
        relay = Relay(directory=tmp_path / "relay", channels=channels)
        relay.add(PROXY)
        with pytest.raises(DeadlineError, match="its Envoy has not connected"):
            await relay.warm(PROXY, 0.05)
        with pytest.raises(NotFoundError, match="default/other is not relayed"):
            await relay.demand("default/other", "h", 1)
        relay.remove(PROXY)
        assert relay.states() == ()

    asyncio.run(main())


def test_an_envoy_known_to_be_gone_makes_nothing_warm(tmp_path: Path) -> None:
    """After `detach` only a new stream counts, even before the old one is seen to break."""

    async def main() -> None:
        mine = node_identity(authority(tmp_path))
        relay = Relay(directory=tmp_path / "relay", channels=Channels(f"127.0.0.1:{free_port()}", lambda: mine))
        relay.add(PROXY)
        session = Session(proxy=PROXY, peer=Peer(spiffe_id="", address="unix:"), stream=DeltaStream())
        relay.opened(session)
        assert relay.states()[0].attached
        relay.detach(PROXY)
        assert not relay.states()[0].attached
        with pytest.raises(StreamEnd, match="its process ended"):
            await session.until_ended()
        relay.closed(session)

    asyncio.run(main())
