"""A resource set: what one proxy holds, as finished bytes.

An entry's version is a hash of its deterministic bytes, so a restarted control plane and a relay agree on what
is unchanged. Its wire form is the whole `envoy.service.discovery.v3.Resource`, ready to be joined into a response.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.message import Message


@dataclass(frozen=True, slots=True)
class Entry:
    """One resource: its name, version (a hash of the content) and wire form."""

    name: str
    version: str
    wire: bytes = field(repr=False)

    @property
    def body(self) -> bytes:
        """The serialised message itself, without its envelope."""
        return discovery_pb2.Resource.FromString(self.wire).resource.value


def entry(name: str, type_url: str, body: bytes) -> Entry:
    """The entry for a serialised message of that type."""
    version = blake2b(body, digest_size=12).hexdigest()
    envelope = discovery_pb2.Resource(name=name, version=version)
    envelope.resource.type_url = type_url
    envelope.resource.value = body
    return Entry(name, version, envelope.SerializeToString(deterministic=True))


def entry_of(name: str, message: Message) -> Entry:
    """The entry for an Envoy message, its type taken from the message."""
    type_url = f"type.googleapis.com/{message.DESCRIPTOR.full_name}"
    return entry(name, type_url, message.SerializeToString(deterministic=True))


EMPTY: Mapping[str, Entry] = {}


@dataclass(frozen=True, slots=True)
class ResourceSet:
    """Entries by type URL and name. Never changed after construction."""

    types: Mapping[str, Mapping[str, Entry]] = field(default_factory=dict[str, Mapping[str, Entry]])

    def of(self, type_url: str) -> Mapping[str, Entry]:
        """The entries of one type, by name."""
        return self.types.get(type_url, EMPTY)

    def merged(self, other: "ResourceSet") -> "ResourceSet":
        """Both sets together; where both name a resource, `other` wins. What only one has is not copied."""
        both = self.types.keys() & other.types.keys()
        joined = {url: {**self.types[url], **other.types[url]} for url in both}
        return ResourceSet({**self.types, **other.types, **joined})

    def replaced(self, type_url: str, entries: Mapping[str, Entry]) -> "ResourceSet":
        """This set with the entries of one type replaced."""
        return ResourceSet({**self.types, type_url: entries})

    def __iter__(self) -> Iterator[tuple[str, Entry]]:
        return ((url, item) for url, items in self.types.items() for item in items.values())


def resource_set(entries: Iterable[tuple[str, Entry]]) -> ResourceSet:
    """A set from (type URL, entry) pairs."""
    types: dict[str, dict[str, Entry]] = {}
    for type_url, item in entries:
        types.setdefault(type_url, {})[item.name] = item
    return ResourceSet(types)
