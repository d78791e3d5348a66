"""Which endpoint `plait why` expects to be called: those that may be, in their order, and why others never are."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

from plait.api import schemas
from plait.controlplane.why_story import Story
from plait.envoy import choice, names
from plait.envoy.resource_set import ResourceSet
from plait.model.services import Endpoint, Labels, Workload
from plait.model.snapshot import Snapshot
from plait.model.traffic import ClusterKey
from plait.model.view import OutboundCluster, View

_NAMED: Final = 4
"""So many endpoints of one kind are told by name in the story; the answer has all."""


def tell_choice(
    cluster: str, story: Story, *, view: View, held: ResourceSet, snapshot: Snapshot
) -> tuple[schemas.WhyEndpoint, ...]:
    """Tell which endpoints of a cluster come first, which take over, and which are left out; the same as data."""
    may = [_may(cluster, item) for item in choice.candidates(held, cluster)]
    left_out = sorted(_left_out(cluster, view, snapshot, may), key=lambda item: item.left_out)
    if len(may) > 1:
        ranks = [list(group) for _, group in groupby(may, key=lambda item: item.priority)]
        words = [_several(rank) for rank in ranks]
        story.tell("choice", "; when none of these is left: ".join(words), resource=cluster)
    for why, group in groupby(left_out, key=lambda item: item.left_out):
        story.tell("left out", f"{_several(list(group))}: {why}", resource=cluster)
    return (*may, *left_out)


def nearest_left_out(found: Sequence[schemas.WhyEndpoint]) -> str:
    """Where no endpoint may be called: the first that is left out, and why; else empty."""
    if any(not item.left_out for item in found):
        return ""
    return next((f"{item.workload or item.address}: {item.left_out}" for item in found), "")


def _may(cluster: str, item: choice.Candidate) -> schemas.WhyEndpoint:
    return schemas.WhyEndpoint(
        cluster=cluster,
        address=item.address,
        workload=item.workload,
        locality=item.locality,
        priority=item.priority,
        share=round(item.share, 4),
    )


def _several(found: Sequence[schemas.WhyEndpoint]) -> str:
    told = ", ".join(map(_one, found[:_NAMED]))
    return f"{told} and {len(found) - _NAMED} more" if len(found) > _NAMED else told


def _one(item: schemas.WhyEndpoint) -> str:
    who = f"{item.workload} at {item.address}" if item.workload else item.address
    where = f" in {item.locality}" if item.locality else ""
    return f"{who}{where}" if item.left_out else f"{who}{where} ({100 * item.share:.3g} %)"


def _left_out(
    cluster: str, view: View, snapshot: Snapshot, may: Sequence[schemas.WhyEndpoint]
) -> Iterator[schemas.WhyEndpoint]:
    """Endpoints of the same service and port that are not called, and workloads that would be if they were ready."""
    parsed = names.parse_cluster(cluster)
    service = snapshot.services.get(parsed[0]) if parsed else None
    if parsed is None or service is None:
        return
    key = ClusterKey(service=service.name, port=parsed[1])
    mine = next((item for item in view.clusters if _named(item) == cluster), None)
    called = {item.address for item in may}
    known = snapshot.endpoints.get(key, ())
    for item in known:
        address = "{}:{}".format(*item.reached_from(view.node))
        why = "" if address in called else _reason(item, mine)
        if why:
            yield _never(cluster, address, why, item)
    there = {item.workload for item in known}
    for name, port in snapshot.behind.get(key, ()):
        workload = snapshot.workloads.get(name)
        if workload is not None and str(name) not in there:
            yield _never(
                cluster, f"{workload.address}:{port}", _outside(workload.labels, mine) or "not ready", workload
            )


def _never(cluster: str, address: str, why: str, item: Endpoint | Workload) -> schemas.WhyEndpoint:
    who = item.workload if isinstance(item, Endpoint) else str(item.name)
    return schemas.WhyEndpoint(cluster=cluster, address=address, workload=who, locality=item.locality, left_out=why)


def _named(cluster: OutboundCluster) -> str:
    return names.cluster(cluster.host, cluster.key.port, cluster.key.subset)


def _reason(endpoint: Endpoint, cluster: OutboundCluster | None) -> str:
    """Why a cluster does not call an endpoint of its service."""
    outside = _outside(endpoint.labels, cluster)
    if outside or not endpoint.healthy:
        return outside or "not ready"
    if cluster is not None and cluster.placement is not None and cluster.placement.shares:
        return f"localityLbSetting.distribute gives {endpoint.locality or 'no locality'} nothing"
    return ""


def _outside(labels: Labels, cluster: OutboundCluster | None) -> str:
    """Which labels of a cluster's subset something lacks; empty if none."""
    borne = dict(labels)
    wanted = cluster.labels if cluster is not None else ()
    lacking = [f"{name}={value}" for name, value in wanted if borne.get(name) != value]
    return f"subset {cluster.key.subset} is of the labels {', '.join(lacking)}" if cluster and lacking else ""
