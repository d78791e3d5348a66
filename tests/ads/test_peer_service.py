"""What controls ask each other, over mutual TLS."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plait.ads.peer_service import PeerClient, handler
from plait.ads.transport import Channels, GrpcServer, TlsIdentity, server_credentials, target
from plait.identity.authority import CertificateAuthority, open_authority
from plait.identity.spiffe import node_id
from plait.identity.svid import new_key, signing_request, svid


async def _double(body: Mapping[str, Any]) -> Mapping[str, Any]:
    if body["number"] < 0:
        await asyncio.sleep(30)
    return {"number": 2 * body["number"]}


def _control(authority: CertificateAuthority) -> TlsIdentity:
    own = authority.server_credentials([], ["127.0.0.1"])
    return TlsIdentity(chain=own.chain, key=own.key, roots=authority.bundle)


def _machine(authority: CertificateAuthority) -> TlsIdentity:
    key = new_key()
    own = svid(authority.sign(signing_request(key), node_id("cluster.local", "m")), key)
    return TlsIdentity(chain=own.chain, key=own.key, roots=authority.bundle)


async def _server(authority: CertificateAuthority) -> tuple[GrpcServer, str]:
    server = GrpcServer([handler({"Double": _double}, "cluster.local")])
    port = await server.listen("127.0.0.1:0", server_credentials(lambda: _control(authority)))
    return server, f"127.0.0.1:{port}"


def test_a_control_answers_controls_only(tmp_path: Path) -> None:
    """Another control is answered, a machine of the mesh is not; who is away or slow is left out."""

    async def play() -> None:
        authority = open_authority(tmp_path / "ca", "cluster.local")
        server, address = await _server(authority)
        ours, theirs = _control(authority), _machine(authority)
        control, machine = PeerClient(lambda: ours), PeerClient(lambda: theirs)
        asked = {"here": address, "away": "127.0.0.1:1"}
        assert await control.ask(asked, "Double", {"number": 4}, 5) == {"here": {"number": 8}}
        assert await control.ask(asked, "Double", {"number": -1}, 0.3) == {}
        assert await machine.ask(asked, "Double", {"number": 4}, 5) == {}
        for client in (control, machine):
            await client.close()
        await server.close()

    asyncio.run(play())


def test_a_channel_leads_to_the_next_control(tmp_path: Path) -> None:
    """A channel of several addresses leads to one that answers, though another one is dead or lost; by name as well."""

    async def play() -> None:
        authority = open_authority(tmp_path / "ca", "cluster.local")
        server, address = await _server(authority)
        identity = _machine(authority)
        lost, dead = "192.0.2.1:9", "127.0.0.1:1"
        channels = Channels(lambda: (lost, dead, address.replace("127.0.0.1", "localhost")), lambda: identity)
        async with channels.lease() as channel, asyncio.timeout(5):
            await channel.channel_ready()
        await channels.close()
        await server.close()
        assert await target(["10.0.0.1:5"]) == "10.0.0.1:5"
        assert await target(["10.0.0.1:5", "no-such-host.invalid:6"]) == "ipv4:10.0.0.1:5"
        assert await target(["10.0.0.1:5", "[::1]:6"]) == "ipv6:[::ffff:10.0.0.1]:5,[::1]:6"

    asyncio.run(play())
