"""What the control process gives its workers, over a unix socket that only it and they can open.

    /plait.v1.Worker/Follow     a stream: first the mesh as it is (`Beginning`), then each commit and each new identity
    /plait.v1.Worker/Commit     writes that a worker wants made

A worker lives as long as its stream: it ends with the process that it serves for.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

import grpc

from plait.ads.node_service import raised, refuse
from plait.ads.server import Context
from plait.ads.transport import TlsIdentity
from plait.controlplane.objects import Objects
from plait.errors import PlaitError
from plait.store import followed
from plait.store.store import Change, Store

SERVICE: Final = "plait.v1.Worker"
_FOLLOW: Final = f"/{SERVICE}/Follow"
_COMMIT: Final = f"/{SERVICE}/Commit"
_LOOK_EVERY: Final = 1.0
"""Seconds within which a worker shows a certificate that was renewed."""

Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """What a worker needs before it serves: trust domain, the addresses (`HOST:PORT`) that it shares, its identity.

    `at_once`: it listens there by itself; else it waits until it is told to.
    """

    trust_domain: str
    addresses: tuple[str, ...]
    identity: TlsIdentity
    at_once: bool = True


class WorkerService:
    """The service, as the control process gives it."""

    def __init__(self, store: Store, beginning: Callable[[], Beginning]) -> None:
        self._store = store
        self._beginning = beginning

    def handler(self) -> grpc.GenericRpcHandler:
        """To be added to a gRPC server on a unix socket."""
        handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            "Follow": grpc.unary_stream_rpc_method_handler(self._follow),
            "Commit": grpc.unary_unary_rpc_method_handler(self._commit),
        }
        return grpc.method_handlers_generic_handler(SERVICE, handlers)

    async def _follow(self, _raw: bytes, _context: Context) -> AsyncIterator[bytes]:
        beginning = self._beginning()
        listing = await self._store.list()
        shown = beginning.identity
        yield _bytes(
            {
                "trustDomain": beginning.trust_domain,
                "addresses": beginning.addresses,
                "atOnce": beginning.at_once,
                "identity": _identity_message(shown),
                "store": followed.whole_message(listing, Objects.key_of),
            }
        )
        async with aclosing(_paced(self._store.watch(listing.revision))) as batches:
            async for changes in batches:
                if changes:
                    yield _bytes(followed.changes_message(changes))
                current = self._beginning().identity
                if current != shown:
                    shown = current
                    yield _bytes({"identity": _identity_message(shown)})

    async def _commit(self, raw: bytes, context: Context) -> bytes:
        try:
            documents = await self._store.commit(followed.writes_of(json.loads(raw)))
        except PlaitError as refusal:
            await refuse(context, refusal)
        return _bytes(followed.answer_message(documents, self._store.revision))


async def _paced(changes: AsyncIterator[Sequence[Change]]) -> AsyncGenerator[Sequence[Change], None]:
    """The batches, and nothing at least every `_LOOK_EVERY` seconds."""
    coming = asyncio.ensure_future(anext(changes))
    try:
        while True:
            done, _ = await asyncio.wait({coming}, timeout=_LOOK_EVERY)
            if not done:
                yield ()
                continue
            batch = coming.result()
            coming = asyncio.ensure_future(anext(changes))
            yield batch
    finally:
        coming.cancel()


class Followed:
    """The other end: the store, the identity and what else a worker is told; follows by `run`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        stream: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(_FOLLOW)
        self._stream = stream(b"")
        self.beginning: Beginning
        self.store: followed.FollowedStore

    async def begin(self) -> None:
        """Wait for what there is; raises UnreachableError when the control process is gone."""
        message = await self._next()
        self.beginning = Beginning(
            trust_domain=message["trustDomain"],
            addresses=tuple(message["addresses"]),
            identity=_identity(message["identity"]),
            at_once=bool(message["atOnce"]),
        )
        self.identity = self.beginning.identity
        self.store = followed.FollowedStore.begin(message["store"], self._forward)

    async def run(self) -> None:
        """Follow until the control process is gone, which raises UnreachableError."""
        while True:
            message = await self._next()
            if "identity" in message:
                self.identity = _identity(message["identity"])
            else:
                self.store.take(message)

    async def _next(self) -> Message:
        try:
            raw = await self._stream.read()
        except grpc.aio.AioRpcError as error:
            raise raised(error) from error
        if not isinstance(raw, bytes):
            raise raised(grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata()))
        return json.loads(raw)

    async def _forward(self, message: Message) -> Message:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(_COMMIT)
        try:
            return json.loads(await call(_bytes(message)))
        except grpc.aio.AioRpcError as error:
            raise raised(error) from error


def _bytes(message: Message) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()


def _identity_message(identity: TlsIdentity) -> Message:
    return {"chain": identity.chain.decode(), "key": identity.key.decode(), "roots": identity.roots.decode()}


def _identity(message: Message) -> TlsIdentity:
    return TlsIdentity(chain=message["chain"].encode(), key=message["key"].encode(), roots=message["roots"].encode())
