"""Where a caller is among the localities of a destination's endpoints, and which of them it prefers."""

from dataclasses import dataclass
from typing import Final

from plait.model.services import Endpoint

REGION: Final = "topology.kubernetes.io/region"
ZONE: Final = "topology.kubernetes.io/zone"
SUB_ZONE: Final = "topology.istio.io/subzone"
MACHINE: Final = "kubernetes.io/hostname"
_NEAREST_TO_FARTHEST: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Which endpoints a caller at `locality` calls first, and where else when these fail.

    With `shares` localities get these per cent of its calls, and others none. Else endpoints are ranked: by `labels`
    (name, value), the first that differs decides, then by locality, where `takes_over` is the region that follows the
    caller's own.
    """

    locality: str
    shares: tuple[tuple[str, int], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    by_locality: bool = True
    takes_over: str = ""

    def rank(self, endpoint: Endpoint) -> int:
        """How far an endpoint is from the caller: the lowest are called first."""
        nearness = self._by_locality(endpoint.locality) if self.by_locality else 0
        return self._by_labels(endpoint) * _NEAREST_TO_FARTHEST + nearness

    def _by_labels(self, endpoint: Endpoint) -> int:
        borne = labels_with_place(endpoint.labels, endpoint.locality, endpoint.node)
        for index, (name, value) in enumerate(self.labels):
            if borne.get(name, "") != value:
                return len(self.labels) - index
        return 0

    def _by_locality(self, locality: str) -> int:
        region, zone, sub_zone = parts(self.locality)
        there = parts(locality)
        if region != there[0]:
            return 4 if self.takes_over and there[0] != self.takes_over else 3
        if zone != there[1]:
            return 2
        return 0 if sub_zone == there[2] else 1


def parts(locality: str) -> tuple[str, str, str]:
    """Region, zone and sub-zone of `region/zone/sub-zone`; what is missing is empty."""
    region, _, rest = locality.partition("/")
    zone, _, sub_zone = rest.partition("/")
    return region, zone, sub_zone


def covers(pattern: str, locality: str) -> bool:
    """Whether a locality is meant by a pattern: `*`, or its first parts, each exact or `*`."""
    wanted = pattern.rstrip("/").split("/")
    return all(part in ("*", found) for part, found in zip(wanted, parts(locality), strict=False))


def labels_with_place(labels: tuple[tuple[str, str], ...], locality: str, machine: str) -> dict[str, str]:
    """Labels, and those that say where something is."""
    region, zone, sub_zone = parts(locality)
    return {REGION: region, ZONE: zone, SUB_ZONE: sub_zone, MACHINE: machine, **dict(labels)}
