"""The HTTPRoute of a rollout: which of its rules are shifted, and writing weights without undoing what others wrote."""

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from plait.cli.errors import CheckError
from plait.cli.fields import as_list, as_mapping, part
from plait.cli.rollout_state import PREFIX, Backend, State, annotations
from plait.errors import ConflictError, NotFoundError

if TYPE_CHECKING:
    from plait.api.client import Client

Document = Mapping[str, Any]
TRIES = 5


def backends_of(document: Document) -> list[Backend]:
    """Every Service that rules of the route send to, in their order."""
    own = _namespace(document)
    refs = [ref for rule in _rules(document) for ref in _refs(rule)]
    found = [item for item in (_backend(ref, own) for ref in refs) if item is not None]
    return list(dict.fromkeys(found))


def shifted(document: Document, old: Backend, new: Backend, weight: int) -> dict[str, Any]:
    """The route with these weights in each rule that sends to the old version; others stay as they are."""
    changed = copy.deepcopy(dict(document))
    own = _namespace(document)
    for rule in _rules(changed):
        refs = _refs(rule)
        if old not in [_backend(ref, own) for ref in refs]:
            continue
        if new not in [_backend(ref, own) for ref in refs]:
            refs.append(_reference(new, own))
        for ref in refs:
            backend = _backend(ref, own)
            if backend == new:
                ref["weight"] = weight
            elif backend == old:
                ref["weight"] = 100 - weight
            elif ref.get("weight", 1):
                raise CheckError(
                    f"a rule sends to {ref.get('name')} too, beside {old.name} and {new.name}",
                    "give it weight 0, or move it to a rule of its own",
                )
        rule["backendRefs"] = refs
    return changed


def made(name: str, parent: Backend, old: Backend) -> dict[str, Any]:
    """A new route for a Service that sends all to the old version."""
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": parent.namespace},
        "spec": {
            "parentRefs": [{"group": "", "kind": "Service", "name": parent.name, "port": parent.port}],
            "rules": [{"backendRefs": [_reference(old, parent.namespace)]}],
        },
    }


class Route:
    """An HTTPRoute in the mesh that this process changes; ConflictError once somebody else does."""

    def __init__(self, client: "Client", namespace: str, name: str) -> None:
        from plait.api.client import object_path

        self.name = name
        self.namespace = namespace
        self._client = client
        self._collection = object_path("gateway.networking.k8s.io", "v1", "httproutes", namespace=namespace)
        self._known: Document | None = None

    def read(self) -> Document | None:
        """The route as it is, from which changes are noticed from now on; None if there is none."""
        try:
            self._known = self._client.get(f"{self._collection}/{self.name}")
        except NotFoundError:
            return None
        return self._known

    def create(self, document: Document) -> None:
        """Make the route."""
        self._known = self._client.create(self._collection, document)

    def check(self) -> Document:
        """The route as it is; ConflictError if somebody else changed what it says, or deleted it."""
        known = self._known or {}
        now = self._client.get(f"{self._collection}/{self.name}")
        if now.get("spec") != known.get("spec") or _own(now) != _own(known):
            raise ConflictError(
                f"somebody else changed httproute {self.namespace}/{self.name}; it is left as it is now",
                f"see `plait get httproutes {self.name} -o yaml`; then `plait rollout {self.name} --resume` or --abort",
            )
        return now

    def write(self, state: State) -> int:
        """Put the weights and annotations of a state into force, together; the revision."""
        for _ in range(TRIES):
            changed = shifted(self.check(), state.plan.old, state.plan.new, state.weight)
            metadata = changed["metadata"]
            metadata["annotations"] = {**part(metadata, "annotations"), **annotations(state)}
            try:
                self._known = self._client.replace(f"{self._collection}/{self.name}", changed)
            except ConflictError:
                continue  # a status was written meanwhile, or `check` tells what somebody changed
            return int(self._known["metadata"]["resourceVersion"])
        raise ConflictError(f"httproute {self.namespace}/{self.name} is being changed all the time", "try again")


def weight_of(document: Document, new: Backend) -> int | None:
    """The new version's share in percent, where every rule agrees that sends to it beside another."""
    own = _namespace(document)
    found: set[int] = set()
    for rule in _rules(document):
        weights = {_backend(ref, own): int(ref.get("weight", 1)) for ref in _refs(rule)}
        if new in weights and len(weights) > 1 and sum(weights.values()):
            found.add(round(100 * weights[new] / sum(weights.values())))
    return found.pop() if len(found) == 1 else None


def _own(document: Document) -> dict[str, str]:
    found = part(part(document, "metadata"), "annotations")
    return {name: value for name, value in found.items() if name.startswith(PREFIX)}


def _namespace(document: Document) -> str:
    return str(part(document, "metadata").get("namespace") or "default")


def _rules(document: Document) -> Sequence[dict[str, Any]]:
    return [rule for rule in as_list(part(document, "spec").get("rules")) or () if as_mapping(rule) is not None]


def _refs(rule: Mapping[str, Any]) -> list[dict[str, Any]]:
    return list(as_list(rule.get("backendRefs")) or ())


def _reference(backend: Backend, namespace: str) -> dict[str, Any]:
    elsewhere = {"namespace": backend.namespace} if backend.namespace != namespace else {}
    return {"name": backend.name, **elsewhere, "port": backend.port}


def _backend(ref: Mapping[str, Any], namespace: str) -> Backend | None:
    """The Service that a reference means; None for another kind."""
    if ref.get("group") or ref.get("kind", "Service") != "Service" or "port" not in ref:
        return None
    return Backend(namespace=str(ref.get("namespace") or namespace), name=str(ref["name"]), port=int(ref["port"]))
