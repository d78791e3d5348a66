"""Serialised responses, each made once for all streams that are to be sent the same.

A response is joined from the finished bytes of its resources. Its nonce belongs to the response, not to the stream, so
that a thousand streams in the same state are written the very same bytes; a stream on which that nonce is under way
already gets one of its own.
"""

from collections.abc import Collection, Sequence
from functools import lru_cache
from itertools import count
from typing import Final

from envoy.service.discovery.v3 import discovery_pb2

from plait.envoy.resource_set import Entry

_KEPT: Final = 128
_LARGEST: Final = 32 * 1024
"""Bytes up to which a response is kept: larger ones are first synchronisations, which hardly two streams share."""

Key = tuple[str, tuple[int, ...], tuple[str, ...]]


class Responses:
    """The latest responses. `made` counts those that were serialised, `shared` those that were used again."""

    def __init__(self) -> None:
        self.made = 0
        self.shared = 0
        self._nonces = count(1)
        self._kept: dict[Key, tuple[str, bytes, Sequence[Entry]]] = {}

    def get(
        self, type_url: str, add: Sequence[Entry], gone: Sequence[str], *, unlike: Collection[str] = ()
    ) -> tuple[str, bytes]:
        """The nonce, which is none of `unlike`, and the bytes of a response with these resources."""
        key = (type_url, tuple(map(id, add)), tuple(gone))
        kept = self._kept.get(key)
        if kept is not None and kept[0] not in unlike:
            self.shared += 1
            return kept[:2]
        self.made += 1
        nonce = str(next(self._nonces))
        wire = response(type_url, nonce, add, gone)
        if len(wire) <= _LARGEST:
            self._kept[key] = (nonce, wire, add)
            if len(self._kept) > _KEPT:
                del self._kept[next(iter(self._kept))]
        return nonce, wire


def response(type_url: str, nonce: str, add: Collection[Entry], gone: Collection[str]) -> bytes:
    """A serialised DeltaDiscoveryResponse, made by joining the finished bytes of its resources."""
    head = discovery_pb2.DeltaDiscoveryResponse(type_url=type_url, nonce=nonce, removed_resources=gone)
    parts = [head.SerializeToString()]
    for item in add:
        parts += (_frame(len(item.wire)), item.wire)
    return b"".join(parts)


@lru_cache(4096)
def _frame(length: int) -> bytes:
    """What stands before a resource of that length: the field's tag, and the length as a varint."""
    encoded = bytearray(b"\x12")
    while length > 0x7F:
        encoded.append(length & 0x7F | 0x80)
        length >>= 7
    encoded.append(length)
    return bytes(encoded)
