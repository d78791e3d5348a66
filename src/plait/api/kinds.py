"""Which kinds the API serves: those of the registry, and those that turned up in the store.

An object of an unknown kind can be applied through /plait/v1/apply; from then on (also after a restart, since
the stored objects tell) its kind is served like any other. One object is the same in all versions of its kind;
it is stored in the preferred one, and answered in the one that was asked for.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from plait.api.errors import ApiError
from plait.resources import registry
from plait.resources.registry import Kind
from plait.store.store import Document, ObjectKey, Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A kind in one of its versions."""

    kind: Kind
    version: str

    @property
    def api_version(self) -> str:
        """`group/version`, or the version alone for the core group."""
        return f"{self.kind.group}/{self.version}" if self.kind.group else self.version

    @property
    def qualified(self) -> str:
        """How errors spell the plural: `services`, `httproutes.gateway.networking.k8s.io`."""
        return f"{self.kind.plural}.{self.kind.group}" if self.kind.group else self.kind.plural

    def shown(self, document: Document) -> Document:
        """The document in this version."""
        if document.get("apiVersion") == self.api_version:
            return document
        return {**document, "apiVersion": self.api_version}

    def stored(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """The document in the version that is stored."""
        preferred = Served(kind=self.kind, version=self.kind.versions[0])
        return {**document, "apiVersion": preferred.api_version, "kind": self.kind.kind}

    def key(self, namespace: str, name: str) -> ObjectKey:
        """The store's key of an object of this kind."""
        namespace = namespace if self.kind.namespaced else ""
        return ObjectKey(group=self.kind.group, kind=self.kind.kind, namespace=namespace, name=name)


class Catalogue:
    """All kinds served by one API."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._found: dict[tuple[str, str], Kind] = {}
        self._revision = -1

    async def all(self) -> tuple[Kind, ...]:
        """Every kind that is known or stored."""
        await self._look()
        return (*registry.KINDS, *self._found.values())

    async def served(self, group: str, version: str, plural: str) -> Served:
        """The kind behind a path; ApiError 404 if there is none."""
        kind = _PATHS.get((group, version, plural)) or self._find(group, version, plural)
        if kind is None:
            await self._look()
            kind = self._find(group, version, plural)
        if kind is None:
            raise ApiError(404, "the server could not find the requested resource")
        return Served(kind=kind, version=version)

    def _find(self, group: str, version: str, plural: str) -> Kind | None:
        for kind in self._found.values():
            if kind.group == group and kind.plural == plural and version in kind.versions:
                return kind
        return None

    async def _look(self) -> None:
        if self._store.revision == self._revision:
            return
        listing = await self._store.list()
        self._revision = listing.revision
        for document in listing.items:
            self._note(str(document["apiVersion"]), str(document["kind"]))

    def _note(self, api_version: str, name: str) -> None:
        group, version = registry.split_api_version(api_version)
        if (group, name) in _KNOWN:
            return
        found = self._found.setdefault((group, name), registry.stored_only(api_version, name))
        if version not in found.versions:
            self._found[group, name] = replace(found, versions=(*found.versions, version))


def split_group(document: Mapping[str, Any]) -> str:
    """The API group of a document."""
    return registry.split_api_version(str(document["apiVersion"]))[0]


def of_document(document: Mapping[str, Any]) -> Served | None:
    """The kind of a document, taken as only stored when nobody knows it; None if it must be a mistake."""
    api_version, name = str(document.get("apiVersion", "")), str(document.get("kind", ""))
    kind = registry.of(api_version, name) if api_version and name else None
    return Served(kind=kind, version=registry.split_api_version(api_version)[1]) if kind else None


_KNOWN = {(kind.group, kind.kind) for kind in registry.KINDS}
_PATHS = {(kind.group, version, kind.plural): kind for kind in registry.KINDS for version in kind.versions}


def versions_by_group(kinds: tuple[Kind, ...]) -> dict[str, tuple[str, ...]]:
    """The versions of each group, preferred ones first."""
    groups: dict[str, dict[str, None]] = {}
    for kind in kinds:
        groups.setdefault(kind.group, {}).update(dict.fromkeys(kind.versions))
    return {group: tuple(versions) for group, versions in groups.items()}


def kinds_of(kinds: tuple[Kind, ...], group: str, version: str) -> Iterator[Kind]:
    """The kinds of one group in one version."""
    return (kind for kind in kinds if kind.group == group and version in kind.versions)
