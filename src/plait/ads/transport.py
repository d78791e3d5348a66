"""gRPC connections: options, TLS from certificates that rotate, servers and channels.

A server asks for its certificate at each handshake, so a renewed one is in use from the next connection on. A channel
keeps the certificate it was made with, so a client makes a new channel when it reconnects with a renewed one.
Machines verify control by one fixed DNS name that only control's certificate has, whatever address they dial.
"""

import asyncio
import socket
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, cast

import grpc

from plait.errors import RefusedError
from plait.identity.spiffe import CONTROL_SERVER_NAME

OPTIONS: Final[Sequence[tuple[str, int]]] = (
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 4_000),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
)
_SERVER_OPTIONS: Final = (
    *OPTIONS,
    # On a busy machine pings arrive in bunches, however regularly they were sent: nobody is sent away for that.
    ("grpc.http2.max_ping_strikes", 0),
)
_CHANNEL_OPTIONS: Final = (
    *OPTIONS,
    ("grpc.initial_reconnect_backoff_ms", 100),
    # How long a connection may take: at the end of a herd's line a handshake waits for many others.
    ("grpc.min_reconnect_backoff_ms", 15_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsIdentity:
    """What one end of a TLS connection needs, PEM: certificate chain, its key, and the roots to verify peers with."""

    chain: bytes = field(repr=False)
    key: bytes = field(repr=False)
    roots: bytes = field(repr=False)


def server_credentials(current: Callable[[], TlsIdentity]) -> grpc.ServerCredentials:
    """Credentials of a server that demands a client certificate; `current` is asked at each handshake."""
    first = current()
    fetch = cast("Callable[[], grpc.ServerCertificateConfiguration]", renewals(first, current))
    return grpc.dynamic_ssl_server_credentials(_configuration(first), fetch, require_client_authentication=True)


def renewals(
    first: TlsIdentity, current: Callable[[], TlsIdentity]
) -> Callable[[], grpc.ServerCertificateConfiguration | None]:
    """What gRPC asks at each handshake: a configuration if the identity is another one than last time, else None.

    gRPC replaces its handshake factory for every configuration that it is given, and is not safe against a handshake
    that begins at the same time in another thread (it dies of it when a hundred machines come at once):
    https://github.com/grpc/grpc/issues/36693
    """
    used = [first]

    def renewal() -> grpc.ServerCertificateConfiguration | None:
        identity = current()
        if identity == used[0]:
            return None
        used[0] = identity
        return _configuration(identity)

    return renewal


def _configuration(identity: TlsIdentity) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(identity.key, identity.chain)], identity.roots)


def channel(address: str, identity: TlsIdentity | None) -> grpc.aio.Channel:
    """A channel to control at `HOST:PORT` that shows our certificate; plaintext without an identity (unix sockets)."""
    if identity is None:
        return grpc.aio.insecure_channel(address, options=_CHANNEL_OPTIONS)
    credentials = grpc.ssl_channel_credentials(identity.roots, identity.key, identity.chain)
    options = (*_CHANNEL_OPTIONS, ("grpc.ssl_target_name_override", CONTROL_SERVER_NAME))
    return grpc.aio.secure_channel(address, credentials, options=options)


class Channels:
    """One shared channel to control; made anew when our certificate was renewed, the old one closed once unused.

    With several addresses it leads to the first control that answers, and to another one when that one ends.
    """

    def __init__(
        self, addresses: str | Callable[[], Sequence[str]], identity: Callable[[], TlsIdentity | None]
    ) -> None:
        """`addresses` are asked again for each call: machines hear of new controls."""
        self._addresses = addresses
        self._identity = identity
        self._current: tuple[tuple[TlsIdentity | None, str], grpc.aio.Channel] | None = None
        self._given: Sequence[str] = ()
        self._users: dict[grpc.aio.Channel, int] = {}

    @asynccontextmanager
    async def lease(self) -> AsyncGenerator[grpc.aio.Channel, None]:
        """A channel that stays open as long as it is used here."""
        given = self._addresses
        wanted = (self._identity(), given if isinstance(given, str) else await self._target(given()))
        if self._current is None or self._current[0] != wanted:
            self._current = (wanted, channel(wanted[1], wanted[0]))
        current = self._current[1]
        self._users[current] = self._users.get(current, 0) + 1
        try:
            yield current
        finally:
            self._users[current] -= 1
            if not self._users[current] and current is not self._current[1]:
                del self._users[current]
                await current.close()

    async def _target(self, addresses: Sequence[str]) -> str:
        """What to connect to; names are asked for again only when they are others, or lead nowhere."""
        current = self._current
        if (
            current is None
            or self._given != tuple(addresses)
            or current[1].get_state() is not grpc.ChannelConnectivity.READY
        ):
            found, self._given = await target(addresses), tuple(addresses)
            return found
        return current[0][1]

    async def close(self) -> None:
        """Close every channel."""
        for opened in {*self._users, *([self._current[1]] if self._current else [])}:
            await opened.close()


async def target(addresses: Sequence[str]) -> str:
    """What gRPC is to connect to, for several `HOST:PORT`: it tries them in order, and takes literal addresses only."""
    if len(addresses) == 1:
        return addresses[0]
    found = [address for text in addresses if (address := await _resolved(text))]
    if not found:
        return addresses[0]
    if all(not address.startswith("[") for address in found):
        return f"ipv4:{','.join(found)}"
    mapped = [address if address.startswith("[") else "[::ffff:{}]:{}".format(*address.split(":")) for address in found]
    return f"ipv6:{','.join(mapped)}"


async def _resolved(text: str) -> str:
    """A literal address and port, empty if the name is not known now."""
    host, _, port = text.rpartition(":")
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    except (OSError, ValueError):
        return ""
    literal = next((entry[4][0] for entry in found if entry[0] == socket.AF_INET), found[0][4][0])
    return f"[{literal}]:{port}" if ":" in str(literal) else f"{literal}:{port}"


class GrpcServer:
    """A gRPC server at one address, with the handlers of several services."""

    def __init__(self, handlers: Sequence[grpc.GenericRpcHandler], *, shared: bool = False) -> None:
        """`shared`: other processes of this user may listen on the same port; new connections go to any of them."""
        self._server = grpc.aio.server(options=(*_SERVER_OPTIONS, ("grpc.so_reuseport", int(shared))))
        self._server.add_generic_rpc_handlers(tuple(handlers))

    async def listen(self, address: str, credentials: grpc.ServerCredentials | None = None) -> int:
        """Bind `HOST:PORT` with credentials or `unix:PATH` without, start serving, and return the port."""
        try:
            if credentials is None:
                port = self._server.add_insecure_port(address)
            else:
                port = self._server.add_secure_port(address, credentials)
        except RuntimeError as error:
            raise RefusedError(
                f"cannot listen on {address}: {error}", "stop what uses it, or choose another"
            ) from error
        await self._server.start()
        return port

    async def close(self, grace: float = 0.0) -> None:
        """Stop listening and end every stream after the grace period."""
        await self._server.stop(grace)
