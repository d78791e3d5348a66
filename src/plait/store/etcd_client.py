"""A client of etcd over gRPC: one call at a time to whichever member answers, and watches.

The members given are tried in turn, beginning with the one that answered last. A call that cannot have reached a
member is made again at the next one; one that may have reached it is the caller's to judge (`UnknownOutcomeError`).
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import grpc

from plait.aio.backoff import backoff
from plait.errors import GoneError, RefusedError, StorageError, UnreachableError
from plait.store.etcd_messages import MESSAGES, after, message

_OPTIONS: Final[Sequence[tuple[str, int]]] = (
    ("grpc.keepalive_time_ms", 5_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 2_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)
_ANSWERED_WITHIN: Final = 3.0
_AWAY: Final = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)
_LEADER: Final = (("hasleader", "true"),)
"""Asks a member to end a watch when it is cut off from the others, rather than to fall silent."""

_METHODS: Final = {
    "RangeRequest": ("KV/Range", "RangeResponse"),
    "TxnRequest": ("KV/Txn", "TxnResponse"),
    "CompactionRequest": ("KV/Compact", "CompactionResponse"),
    "LeaseGrantRequest": ("Lease/LeaseGrant", "LeaseGrantResponse"),
    "LeaseRevokeRequest": ("Lease/LeaseRevoke", "LeaseRevokeResponse"),
}


class UnknownOutcomeError(UnreachableError):
    """A member did not answer in time: what was asked of it may have been done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EtcdTls:
    """What a TLS connection to etcd needs, PEM: the roots to verify it by, and our certificate if it asks for one."""

    roots: bytes | None = None
    chain: bytes | None = None
    key: bytes | None = field(default=None, repr=False)


class EtcdClient:
    """Calls to the members of one etcd cluster, each `HOST:PORT`; plaintext without `tls`."""

    def __init__(self, members: Sequence[str], tls: EtcdTls | None = None, *, patience: float = 5.0) -> None:
        """`patience`: seconds in which some member must have answered."""
        self.members = tuple(members)
        self._tls = tls
        self._patience = patience
        self._at = 0
        self._channels: dict[str, grpc.aio.Channel] = {}

    async def call(self, name: str, *, again: bool = True, **fields: Any) -> Any:
        """The answer to a request (`RangeRequest`, ...).

        Raises UnreachableError when no member answers in time; with `again` off, UnknownOutcomeError when one may have
        done what was asked without having said so.
        """
        return await self.send(name, message(name, **fields), again=again)

    async def send(self, name: str, request: Any, *, again: bool = True) -> Any:
        """The same for a request that is made already."""
        deadline = asyncio.get_running_loop().time() + self._patience
        for pause in backoff(0.05, 0.5):
            try:
                return await self._once(name, request)
            except grpc.aio.AioRpcError as error:
                if error.code() not in _AWAY:
                    raise _refusal(error) from error
                self._next()
                if not again and not _never_sent(error):
                    raise UnknownOutcomeError(f"{self} did not answer: {error.details()}", _REMEDY) from error
                if asyncio.get_running_loop().time() + pause > deadline:
                    raise UnreachableError(f"{self} cannot be reached: {error.details()}", _REMEDY) from error
            await asyncio.sleep(pause)
        raise AssertionError("waiting times do not end")

    async def read_all(self, prefix: bytes) -> tuple[list[Any], int]:
        """Every key with that prefix as of one revision, and that revision."""
        found: list[Any] = []
        start, revision = prefix, 0
        while True:
            answer = await self.call("RangeRequest", key=start, range_end=after(prefix), limit=1000, revision=revision)
            revision = revision or int(answer.header.revision)
            found.extend(answer.kvs)
            if not answer.more:
                return found, revision
            start = bytes(answer.kvs[-1].key) + b"\0"

    async def watch(self, prefix: bytes, since: int) -> AsyncIterator[Any]:
        """Responses with the changes of keys with that prefix after a revision, until the connection breaks.

        Raises GoneError when etcd has compacted those changes, UnreachableError when the connection breaks.
        """
        request = message("WatchCreateRequest", key=prefix, range_end=after(prefix), start_revision=since + 1)
        method = self._channel().stream_stream(
            "/etcdserverpb.Watch/Watch",
            request_serializer=MESSAGES["WatchRequest"].SerializeToString,
            response_deserializer=MESSAGES["WatchResponse"].FromString,
        )
        call = method(metadata=_LEADER)
        try:
            await call.write(message("WatchRequest", create_request=request))
            async for answer in call:
                if answer.compact_revision:
                    raise GoneError(f"the changes after revision {since} were compacted", "list again")
                if answer.canceled:
                    raise UnreachableError(f"{self} ended the watch: {answer.cancel_reason}", _REMEDY)
                yield answer
            raise UnreachableError(f"{self} ended the watch", _REMEDY)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError) as error:
            raise UnreachableError(f"the connection to {self} broke: {error}", _REMEDY) from error
        finally:
            call.cancel()

    async def keep_alive(self, lease: int) -> int:
        """Prolong a lease; the seconds it lives now, 0 if it has ended."""
        method = self._channel().stream_stream(
            "/etcdserverpb.Lease/LeaseKeepAlive",
            request_serializer=MESSAGES["LeaseKeepAliveRequest"].SerializeToString,
            response_deserializer=MESSAGES["LeaseKeepAliveResponse"].FromString,
        )
        call = method(timeout=_ANSWERED_WITHIN, metadata=_LEADER)
        try:
            await call.write(message("LeaseKeepAliveRequest", ID=lease))
            answer = await call.read()
            return int(getattr(answer, "TTL", 0))
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError) as error:
            self._next()
            raise UnreachableError(f"{self} cannot be reached: {error}", _REMEDY) from error
        finally:
            call.cancel()

    def turn(self) -> None:
        """Use the next member from now on: this one does not serve."""
        self._next()

    async def close(self) -> None:
        """Close the connections."""
        for channel in self._channels.values():
            await channel.close()

    def __str__(self) -> str:
        return f"etcd at {', '.join(self.members)}"

    def _next(self) -> None:
        self._at = (self._at + 1) % len(self.members)

    async def _once(self, name: str, request: Any) -> Any:
        path, answer = _METHODS[name]
        method = self._channel().unary_unary(
            f"/etcdserverpb.{path}",
            request_serializer=MESSAGES[name].SerializeToString,
            response_deserializer=MESSAGES[answer].FromString,
        )
        return await method(request, timeout=_ANSWERED_WITHIN)

    def _channel(self) -> grpc.aio.Channel:
        member = self.members[self._at]
        if member not in self._channels:
            if self._tls is None:
                self._channels[member] = grpc.aio.insecure_channel(member, options=_OPTIONS)
            else:
                credentials = grpc.ssl_channel_credentials(self._tls.roots, self._tls.key, self._tls.chain)
                self._channels[member] = grpc.aio.secure_channel(member, credentials, options=_OPTIONS)
        return self._channels[member]


_REMEDY: Final = "check that etcd runs and has a leader: etcdctl endpoint status"


def _never_sent(error: grpc.aio.AioRpcError) -> bool:
    """Whether a call surely did not reach a member: there was no connection to send it over."""
    details = error.details() or ""
    return error.code() == grpc.StatusCode.UNAVAILABLE and "failed to connect" in details


def _refusal(error: grpc.aio.AioRpcError) -> RefusedError:
    """What etcd's refusal means to the user."""
    details = error.details() or str(error.code())
    if "too many operations" in details:
        return RefusedError(
            "the set is larger than etcd takes in one transaction; nothing was changed",
            "start etcd with a larger --max-txn-ops, or apply fewer objects at a time",
        )
    if "request is too large" in details or error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED:
        return StorageError(
            f"etcd does not take a set that large: {details}; nothing was changed",
            "apply fewer objects at a time, start etcd with a larger --max-request-bytes, or give it more space",
        )
    if "compacted" in details:
        return GoneError("the changes were compacted", "list again")
    return StorageError(f"etcd refuses: {details}; nothing was changed", "see etcd's log")
