"""Where objects of a kind are in the API, for a kind as people write it (`svc`, `httproutes`, `HTTPRoute`).

Kinds this release knows come from its own registry; for any other the API is asked what it serves.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

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
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        middle = f"/namespaces/{namespace}" if self.namespaced and namespace is not None else ""
        return f"{root}{middle}/{self.plural}{'/' + name if name else ''}"


def place(word: str, client: "Client | None") -> Place:
    """The place of the kind that `word` means; `httproutes.gateway.networking.k8s.io` names the group too."""
    name, _, group = word.partition(".")
    if (known := registry.find(name, group or None)) is not None:
        group, version = known.group, known.versions[0]
        return Place(group=group, version=version, plural=known.plural, kind=known.kind, namespaced=known.namespaced)
    served = _served(client) if client else {}
    if (found := served.get(name.lower())) is not None:
        return found
    raise UsageError(f"there is no kind {word!r}", _proposal(name, served))


def _served(client: "Client") -> Mapping[str, Place]:
    """All kinds the API serves, by each of their names."""
    groups = [("", "v1", "/api/v1")]
    for group in client.get("/apis").get("groups", ()):
        version = group["preferredVersion"]
        groups.append((group["name"], version["version"], f"/apis/{version['groupVersion']}"))
    found = dict[str, Place]()
    for group, version, path in groups:
        for resource in client.get(path).get("resources", ()):
            if "/" not in resource["name"]:
                found |= _named(resource, group, version)
    return found


def _named(resource: Mapping[str, Any], group: str, version: str) -> dict[str, Place]:
    entry = Place(
        group=group, version=version, plural=resource["name"], kind=resource["kind"], namespaced=resource["namespaced"]
    )
    names = [
        resource["name"],
        resource["kind"].lower(),
        resource.get("singularName", ""),
        *resource.get("shortNames", ()),
    ]
    return {name: entry for name in names if name}


def _proposal(name: str, served: Mapping[str, Place]) -> str:
    words = {kind.plural for kind in registry.KINDS} | served.keys() | {"workloads"}
    near = get_close_matches(name.lower(), sorted(words), n=1)
    return (
        f"did you mean {near[0]}?" if near else "see `kubectl api-resources`, or write workloads, services, httproutes"
    )
