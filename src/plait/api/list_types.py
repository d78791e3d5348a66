"""How the lists inside objects merge: which are maps by key fields, which are sets; all others are replaced whole.

The same facts serve strategic merge patches, server-side apply and the OpenAPI document (kubectl computes its
patches from there), so that the three always agree. They are those of Kubernetes and of the Gateway API; lists of
Istio's kinds are all replaced whole.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

Path = tuple[str, ...]
"""Names of fields from the top of the object; items of lists add nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListType:
    """How one list merges. Without keys it is a set of values.

    Strategic merge patches know one key, server-side apply may know several, with the values that
    an item has by default.
    """

    merge_key: str = ""
    map_keys: tuple[str, ...] = ()
    defaults: Mapping[str, str | int] = field(default_factory=dict[str, str | int])

    @property
    def keys(self) -> tuple[str, ...]:
        """The key fields for server-side apply."""
        return self.map_keys or ((self.merge_key,) if self.merge_key else ())


def _by(key: str, *keys: str, **defaults: str) -> ListType:
    return ListType(merge_key=key, map_keys=keys, defaults=defaults)


_SET = ListType()
_METADATA: dict[Path, ListType] = {
    ("metadata", "finalizers"): _SET,
    ("metadata", "ownerReferences"): _by("uid"),
}
_CONDITIONS: dict[Path, ListType] = {("status", "conditions"): _by("type")}
_CONTAINER: dict[Path, ListType] = {
    ("ports",): _by("containerPort", "containerPort", "protocol", protocol="TCP"),
    ("env",): _by("name"),
    ("volumeMounts",): _by("mountPath"),
    ("volumeDevices",): _by("devicePath"),
}
_POD: dict[Path, ListType] = {
    ("volumes",): _by("name"),
    ("imagePullSecrets",): _by("name"),
    ("hostAliases",): _by("ip"),
    ("topologySpreadConstraints",): _by("topologyKey", "topologyKey", "whenUnsatisfiable"),
    **{(name,): _by("name") for name in ("containers", "initContainers", "ephemeralContainers")},
    **{
        (name, *path): list_type
        for name in ("containers", "initContainers", "ephemeralContainers")
        for path, list_type in _CONTAINER.items()
    },
}


def _below(prefix: Path, lists: Mapping[Path, ListType]) -> dict[Path, ListType]:
    return {(*prefix, *path): list_type for path, list_type in lists.items()}


_TEMPLATE = _below(("spec", "template", "spec"), _POD) | _below(("spec", "template"), _METADATA)
_KINDS: dict[tuple[str, str], dict[Path, ListType]] = {
    ("", "Service"): {("spec", "ports"): _by("port", "port", "protocol", protocol="TCP")},
    ("", "ServiceAccount"): {("secrets",): _by("name"), ("imagePullSecrets",): _by("name")},
    ("", "Node"): {("status", "addresses"): _by("type"), ("spec", "podCIDRs"): _SET},
    ("", "Namespace"): {("spec", "finalizers"): _SET},
    ("", "Pod"): _below(("spec",), _POD),
    ("", "ReplicationController"): _TEMPLATE,
    ("apps", "Deployment"): _TEMPLATE,
    ("apps", "DaemonSet"): _TEMPLATE,
    ("apps", "ReplicaSet"): _TEMPLATE,
    ("apps", "StatefulSet"): _TEMPLATE,
    ("batch", "Job"): _TEMPLATE,
    ("batch", "CronJob"): _below(("spec", "jobTemplate"), _TEMPLATE),
    ("gateway.networking.k8s.io", "Gateway"): {
        ("spec", "listeners"): _by("name"),
        ("status", "listeners"): _by("name"),
        ("status", "listeners", "conditions"): _by("type"),
    },
    ("gateway.networking.k8s.io", "GatewayClass"): {("status", "supportedFeatures"): _by("name")},
}
_EVERYWHERE = _METADATA | _CONDITIONS


def list_types(group: str, kind: str) -> Mapping[Path, ListType]:
    """The lists of a kind that are not replaced whole."""
    return _EVERYWHERE | _KINDS.get((group, kind), {})
