"""A mesh that only exists on paper: documents become what a running mesh would make of them, without any process.

Services get addresses as on admission, the snapshot is built, and `plait why` answers about it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from plait.controlplane.admission import Admission
from plait.controlplane.publisher import Publisher
from plait.controlplane.why import Why
from plait.envoy.resource_set import ResourceSet
from plait.resources.parse import Resource, parse
from plait.resources.values import as_object, as_text
from plait.resources.violations import Violation
from plait.resources.yaml import Document
from plait.snapshot.build import Builder


@dataclass(frozen=True, kw_only=True)
class OfflineMesh:
    """Objects as written (`resources`), everything that is wrong with the others, and the mesh made of them."""

    resources: tuple[Resource, ...]
    violations: tuple[Violation, ...]
    unread: tuple[tuple[str, str, str], ...]
    """Kind, namespace and name of objects that are wrong, as far as they say it."""
    builder: Builder
    publisher: Publisher

    @property
    def why(self) -> Why:
        """Answers where calls go in it."""
        return Why(self.publisher, self.builder.located)


def offline_mesh(documents: Sequence[Document], *, default_namespace: str = "default") -> OfflineMesh:
    """The mesh of these documents; those that are wrong are left out and told."""
    resources: list[Resource] = []
    violations: list[Violation] = []
    admitted: list[Resource] = []
    unread: list[tuple[str, str, str]] = []
    admission = Admission()
    for document in documents:
        found = parse(document.value, lines=document.lines, file=document.file, default_namespace=default_namespace)
        if not isinstance(found, Resource):
            violations += found
            unread.append(_name(document, default_namespace))
            continue
        resources.append(found)
        written = {name: value for name, value in document.value.items() if name != "status"}
        stored, refused = admission.admit(written, None)
        kept = parse(stored, lines=document.lines, file=document.file, default_namespace=default_namespace)
        violations += refused
        if isinstance(kept, Resource) and not refused:
            admitted.append(kept)
    builder = Builder()
    snapshot = builder.update(admitted).snapshot
    return OfflineMesh(
        resources=tuple(resources),
        violations=tuple(violations),
        unread=tuple(unread),
        builder=builder,
        publisher=Publisher(_sends_nothing, snapshot),
    )


def _name(document: Document, default_namespace: str) -> tuple[str, str, str]:
    metadata = as_object(document.value.get("metadata")) or {}
    namespace = as_text(metadata.get("namespace")) or default_namespace
    return as_text(document.value.get("kind")), namespace, as_text(metadata.get("name"))


def _sends_nothing(proxy: str, resources: ResourceSet, demand: frozenset[str]) -> None:
    """What a publisher without any connection does."""
