"""Kinds that are kept for other tools but on which the mesh does not act, one a line: group, version, kind, plural."""

from dataclasses import replace

from plait.resources.kind import Column, Kind

_NOTE = "stored; Plait does not run {kind} objects"
_AGE = Column(name="Age", path=".metadata.creationTimestamp", type="date")
_NAMESPACED = """
- v1 Pod pods po
- v1 Endpoints endpoints ep
- v1 PersistentVolumeClaim persistentvolumeclaims pvc
- v1 ReplicationController replicationcontrollers rc
- v1 PodTemplate podtemplates
- v1 LimitRange limitranges limits
- v1 ResourceQuota resourcequotas quota
- v1 Event events ev
apps v1 Deployment deployments deploy
apps v1 DaemonSet daemonsets ds
apps v1 StatefulSet statefulsets sts
apps v1 ReplicaSet replicasets rs
apps v1 ControllerRevision controllerrevisions
batch v1 Job jobs
batch v1 CronJob cronjobs cj
autoscaling v2 HorizontalPodAutoscaler horizontalpodautoscalers hpa
policy v1 PodDisruptionBudget poddisruptionbudgets pdb
coordination.k8s.io v1 Lease leases
networking.k8s.io v1 Ingress ingresses ing
networking.k8s.io v1 NetworkPolicy networkpolicies netpol
rbac.authorization.k8s.io v1 Role roles
rbac.authorization.k8s.io v1 RoleBinding rolebindings
gateway.networking.k8s.io v1 ListenerSet listenersets lset
gateway.networking.k8s.io v1 UDPRoute udproutes
networking.istio.io v1alpha3 EnvoyFilter envoyfilters
extensions.istio.io v1alpha1 WasmPlugin wasmplugins
extensions.istio.io v1alpha1 TrafficExtension trafficextensions
"""
_CLUSTER = """
- v1 PersistentVolume persistentvolumes pv
networking.k8s.io v1 IngressClass ingressclasses
rbac.authorization.k8s.io v1 ClusterRole clusterroles
rbac.authorization.k8s.io v1 ClusterRoleBinding clusterrolebindings
apiextensions.k8s.io v1 CustomResourceDefinition customresourcedefinitions crd
admissionregistration.k8s.io v1 ValidatingWebhookConfiguration validatingwebhookconfigurations
admissionregistration.k8s.io v1 MutatingWebhookConfiguration mutatingwebhookconfigurations
storage.k8s.io v1 StorageClass storageclasses sc
scheduling.k8s.io v1 PriorityClass priorityclasses pc
"""


def stored_kind(*, group: str, version: str, kind: str, plural: str = "", namespaced: bool = True) -> Kind:
    """A kind that is only stored; the plural is guessed as Kubernetes' tools do where it is not known."""
    return Kind(
        group=group,
        versions=(version,),
        kind=kind,
        plural=plural or guess_plural(kind),
        namespaced=namespaced,
        columns=(_AGE,),
        stored_only=True,
        effective=False,
        note=_NOTE.format(kind=kind),
    )


def guess_plural(kind: str) -> str:
    """The plural of a kind by the rules of English that Kubernetes' tools use."""
    word = kind.lower()
    if word.endswith(("s", "x", "ch", "sh")):
        return f"{word}es"
    if word.endswith("y") and word[-2:-1] not in ("a", "e", "i", "o", "u"):
        return f"{word[:-1]}ies"
    return f"{word}s"


def _parse(lines: str, *, namespaced: bool) -> tuple[Kind, ...]:
    kinds: list[Kind] = []
    for line in lines.strip().splitlines():
        group, version, kind, plural, *short = line.split()
        group = "" if group == "-" else group
        found = stored_kind(group=group, version=version, kind=kind, plural=plural, namespaced=namespaced)
        kinds.append(replace(found, short_names=tuple(short)))
    return tuple(kinds)


STORED_KINDS = _parse(_NAMESPACED, namespaced=True) + _parse(_CLUSTER, namespaced=False)
