"""The declared Sidecars, by namespace."""

from dataclasses import dataclass

from plait.model.ids import ObjectName
from plait.model.snapshot import SelectedReach
from plait.snapshot.conditions import Problem
from plait.snapshot.dirty import Dirty
from plait.snapshot.index import put_value


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredSidecar:
    """A Sidecar with what orders it among others, and what of it is not done."""

    selected: SelectedReach
    generation: int
    created: float
    dropped: tuple[Problem, ...] = ()

    @property
    def name(self) -> ObjectName:
        """Its name."""
        return self.selected.reach.sidecar


class SidecarTable:
    """Sidecars."""

    def __init__(self) -> None:
        self.sidecars: dict[str, dict[ObjectName, DeclaredSidecar]] = {}

    def put(self, name: ObjectName, declared: DeclaredSidecar | None, dirty: Dirty) -> None:
        """Set or remove (None) a Sidecar."""
        known = self.sidecars.setdefault(name.namespace, {})
        if not put_value(known, name, declared):
            return
        dirty.sidecars.add(name.namespace)
