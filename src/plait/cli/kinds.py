"""Where objects of a kind are in the API, for a kind as people write it (`svc`, `httproutes`, `HTTPRoute`).

Kinds this release knows come from its own registry; for any other the API is asked what it serves.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from plait.cli.errors import UsageError
from plait.resources import registry

if TYPE_CHECKING:
    from plait.api.client import Client


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A kind's place in the API."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool

    def path(self, namespace: str | None, name: str = "") -> str:
        """The path of its objects: of one namespace, or (None) of all."""
        from plait.api.client import object_path

        within = (namespace or "") if self.namespaced else ""
        return object_path(self.group, self.version, self.plural, namespace=within, name=name)


def place(word: str, client: "Client | None") -> Place:
    """The place of the kind that `word` means; `httproutes.gateway.networking.k8s.io` names the group too."""
    name, _, group = word.partition(".")
    if (known := registry.find(name, group or None)) is not None:
        group, version = known.group, known.versions[0]
        return Place(group=group, version=version, plural=known.plural, kind=known.kind, namespaced=known.namespaced)
    served: Mapping[str, Place] = _served(client) if client else {}
    if (found := served.get(name.lower())) is not None:
        return found
    raise UsageError(f"there is no kind {word!r}", _proposal(name, served))


def _served(client: "Client") -> Mapping[str, Place]:
    """All kinds the API serves, by each of their names."""
    found = dict[str, Place]()
    for kind in client.kinds():
        served = Place(
            group=kind["group"],
            version=kind["version"],
            plural=kind["name"],
            kind=kind["kind"],
            namespaced=kind["namespaced"],
        )
        for name in (kind["name"], kind["kind"].lower(), kind.get("singularName"), *kind.get("shortNames", ())):
            found.setdefault(str(name), served)
    return found


def _proposal(name: str, served: Mapping[str, Place]) -> str:
    words = {kind.plural for kind in registry.KINDS} | served.keys() | {"workloads"}
    near = get_close_matches(name.lower(), sorted(words), n=1)
    return (
        f"did you mean {near[0]}?" if near else "see `kubectl api-resources`, or write workloads, services, httproutes"
    )
