"""The kinds that are checked and stored but do not act yet; each says so when it is applied."""

from plait.resources.istio.proxy_config import ProxyConfig
from plait.resources.istio.request_authentication import RequestAuthentication
from plait.resources.istio.telemetry import Telemetry
from plait.resources.istio.workload_group import WorkloadGroup
from plait.resources.kind import Column, Kind
from plait.resources.meta import KubernetesObject

GATEWAY = "gateway.networking.k8s.io"
_AGE = Column(name="Age", path=".metadata.creationTimestamp", type="date")
_VERSIONS = {
    GATEWAY: ("v1",),
    "networking.istio.io": ("v1", "v1beta1", "v1alpha3"),
    "security.istio.io": ("v1", "v1beta1"),
    "telemetry.istio.io": ("v1", "v1alpha1"),
}


def _later(
    model: type[KubernetesObject],
    group: str,
    plural: str,
    *short_names: str,
    columns: tuple[Column, ...] = (_AGE,),
    versions: tuple[str, ...] = (),
) -> Kind:
    kind = model.__name__
    of_istio = ("istio-io", f"{group.partition('.')[0]}-istio-io")
    return Kind(
        group=group,
        versions=versions or _VERSIONS[group],
        kind=kind,
        plural=plural,
        short_names=short_names,
        model=model,
        categories=("gateway-api",) if group == GATEWAY else of_istio,
        columns=columns,
        effective=False,
        note=f"checked and stored; {kind} objects do not act yet in this version of Plait",
    )


LATER_KINDS = (
    _later(WorkloadGroup, "networking.istio.io", "workloadgroups", "wg"),
    _later(ProxyConfig, "networking.istio.io", "proxyconfigs", versions=("v1beta1",)),
    _later(RequestAuthentication, "security.istio.io", "requestauthentications", "ra"),
    _later(Telemetry, "telemetry.istio.io", "telemetries", "telemetry"),
)
