"""How objects are written in etcd: one key an object, its document as JSON; Secrets are sealed.

    PREFIX/store/object/GROUP/KIND/NAMESPACE/NAME     an object; `-` stands for an empty group or namespace
    PREFIX/store/commit/OWNER                         the mark of a writer's last commit

The revision is not part of what is written: it is known only afterwards, as the key's own.
"""

import json
from collections.abc import Iterable
from typing import Any, Final

from plait.store.seal import Seal
from plait.store.store import Document, ObjectKey

_EMPTY: Final = "-"
_SEALED: Final = b"\x00"
"""First byte of a value that is sealed; JSON never begins with it."""


class Keys:
    """Keys and values below a prefix. Without a seal Secrets are written as they are."""

    def __init__(self, prefix: str, seal: Seal | None) -> None:
        self.range = f"{prefix}/store/".encode()
        self._objects = f"{prefix}/store/object/"
        self._marks = f"{prefix}/store/commit/"
        self._seal = seal

    def mark(self, owner: str) -> bytes:
        """The key of a writer's mark."""
        return (self._marks + owner).encode()

    def encode(self, key: ObjectKey) -> bytes:
        """The key of an object."""
        return f"{self._objects}{key.group or _EMPTY}/{key.kind}/{key.namespace or _EMPTY}/{key.name}".encode()

    def decode(self, raw: bytes) -> ObjectKey | None:
        """The object that a key is of; None for a mark."""
        parts = raw.decode().removeprefix(self._objects).split("/")
        if len(parts) != 4 or not raw.startswith(self._objects.encode()):
            return None
        group, namespace = ("" if part == _EMPTY else part for part in (parts[0], parts[2]))
        return ObjectKey(group=group, kind=parts[1], namespace=namespace, name=parts[3])

    def value(self, key: ObjectKey, document: Document) -> bytes:
        """What is written for a document."""
        metadata = {name: value for name, value in document["metadata"].items() if name != "resourceVersion"}
        raw = json.dumps({**document, "metadata": metadata}, separators=(",", ":")).encode()
        if self._seal is None or (key.group, key.kind) != ("", "Secret"):
            return raw
        return _SEALED + self._seal.close(raw, self.encode(key))

    def objects(self, pairs: Iterable[Any]) -> list[tuple[ObjectKey, Document]]:
        """The objects among pairs of key and value."""
        return [(key, self.document(pair)) for pair in pairs if (key := self.decode(pair.key)) is not None]

    def document(self, pair: Any) -> Document:
        """The document in a pair of key and value, with its revision."""
        raw = bytes(pair.value)
        if raw.startswith(_SEALED) and self._seal is not None:
            raw = self._seal.open(raw[1:], bytes(pair.key))
        found: dict[str, Any] = json.loads(raw)
        metadata = {**found.get("metadata", {}), "resourceVersion": str(pair.mod_revision)}
        return {**found, "metadata": metadata}


def newest(pairs: Iterable[Any]) -> int:
    """The newest revision of pairs of key and value, 0 if there are none."""
    return max((int(pair.mod_revision) for pair in pairs), default=0)
