"""Istio's Gateways, and the Secrets they name."""

from plait.model.ids import ObjectName
from plait.snapshot.dirty import Dirty
from plait.snapshot.edges import DeclaredEdge
from plait.snapshot.index import put_value


class EdgeTable:
    """Istio's Gateways by name."""

    def __init__(self) -> None:
        self.gateways: dict[ObjectName, DeclaredEdge] = {}

    def put(self, name: ObjectName, declared: DeclaredEdge | None, dirty: Dirty) -> None:
        """Set or remove (None) one."""
        if not put_value(self.gateways, name, declared):
            return
        dirty.edges.add(name)

    def note_secret(self, name: ObjectName, dirty: Dirty) -> None:
        """A Secret changed: Gateways that may mean it (it is in the namespace of their proxies) are linked again."""
        dirty.edges.update(edge.name for edge in self.gateways.values() if name.name in edge.secrets)

    def by_age(self) -> list[DeclaredEdge]:
        """All of them, the oldest first."""
        return sorted(self.gateways.values(), key=lambda edge: (edge.created, edge.name))
