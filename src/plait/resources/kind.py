"""What is known of a kind: its names, versions, scope, model and table columns."""

from dataclasses import dataclass
from typing import Final

from plait.resources.meta import KubernetesObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of the table that `kubectl get` and `plait get` print; priority 1 shows only in wide output."""

    name: str
    path: str
    """JSONPath from the object, as in a CRD: `.spec.hosts`."""
    type: str = "string"
    description: str = ""
    priority: int = 0


_TWIN: Final = ("networking.istio.io", "Gateway")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of object.

    `versions` are served, the first is preferred. `model` is None for kinds that are only stored
    (`stored_only`). A kind with a model and `effective` False is checked and stored but does not act yet.
    `note` says so to the user who applies one.
    """

    group: str
    versions: tuple[str, ...]
    kind: str
    plural: str
    singular: str = ""
    short_names: tuple[str, ...] = ()
    namespaced: bool = True
    model: type[KubernetesObject] | None = None
    categories: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    has_status: bool = True
    stored_only: bool = False
    effective: bool = True
    note: str = ""

    @property
    def api_version(self) -> str:
        """Group and preferred version as `apiVersion` writes them."""
        return f"{self.group}/{self.versions[0]}" if self.group else self.versions[0]

    @property
    def page(self) -> str:
        """The name of its page in the reference; Istio's Gateway shares its kind's name with another."""
        return "istio-gateway" if (self.group, self.kind) == _TWIN else self.kind.lower()

    def __str__(self) -> str:
        return f"{self.kind}.{self.group}" if self.group else self.kind
