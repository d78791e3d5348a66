"""The last good configuration of each proxy, on disk: what a relay serves when control is away.

One file a proxy, replaced atomically, readable by its owner only (it may hold a gateway's keys). It holds for each
type a DeltaDiscoveryResponse, after a checksum; a file that is damaged counts as missing.
"""

import logging
import threading
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Final
from urllib.parse import quote

from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.message import DecodeError

from plait.ads.responses import response
from plait.envoy.resource_set import Entry, ResourceSet
from plait.identity.private_files import private_directory, write_private

logger = logging.getLogger(__name__)

_MAGIC: Final = b"plait-last-good-1\n"
_CHECKSUM: Final = 16


class LastGood:
    """The directory of last good configurations."""

    def __init__(self, directory: Path) -> None:
        self._directory = private_directory(directory)
        self._lock = threading.Lock()
        self._removed: set[str] = set()

    def load(self, proxy: str) -> ResourceSet:
        """What the proxy held last; empty if nothing is known."""
        file = self._file(proxy)
        self._removed.discard(proxy)
        try:
            return decode(file.read_bytes())
        except FileNotFoundError:
            return ResourceSet()
        except (OSError, ValueError, DecodeError) as error:
            logger.warning(
                "%s: the last good configuration of %s cannot be read (%s); starting empty", file, proxy, error
            )
            return ResourceSet()

    def save(self, proxy: str, resources: ResourceSet) -> None:
        """Keep what the proxy holds, unless it was removed since it was loaded. May be called in any thread."""
        with self._lock:
            if proxy not in self._removed:
                write_private(self._file(proxy), encode(resources))

    def remove(self, proxy: str) -> None:
        """Forget the proxy."""
        with self._lock:
            self._removed.add(proxy)
            self._file(proxy).unlink(missing_ok=True)

    def _file(self, proxy: str) -> Path:
        return self._directory / f"{quote(proxy, safe='')}.xds"


def encode(resources: ResourceSet) -> bytes:
    """The file's content for a set."""
    parts = [response(url, "", items.values(), ()) for url, items in resources.types.items()]
    body = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return _MAGIC + _checksum(body) + body


def decode(content: bytes) -> ResourceSet:
    """The set in a file's content; ValueError if it is damaged."""
    body = content[len(_MAGIC) + _CHECKSUM :]
    if content[: len(_MAGIC) + _CHECKSUM] != _MAGIC + _checksum(body):
        raise ValueError("damaged, or written by another version")
    return ResourceSet({part.type_url: entries(part) for part in _parts(body)})


def entries(received: discovery_pb2.DeltaDiscoveryResponse) -> Mapping[str, Entry]:
    """The resources of a response, by name."""
    return {
        item.name: Entry(item.name, item.version, item.SerializeToString(deterministic=True))
        for item in received.resources
    }


def _parts(body: bytes) -> Iterator[discovery_pb2.DeltaDiscoveryResponse]:
    position = 0
    while position < len(body):
        begin = position + 4
        position = begin + int.from_bytes(body[position:begin], "big")
        yield discovery_pb2.DeltaDiscoveryResponse.FromString(body[begin:position])


def _checksum(body: bytes) -> bytes:
    return blake2b(body, digest_size=_CHECKSUM).digest()
