"""Mirrors: copies of requests whose answers are discarded."""

from collections.abc import Iterable
from typing import Final

from envoy.config.core.v3 import base_pb2
from envoy.config.route.v3 import route_components_pb2
from envoy.type.v3 import percent_pb2

from plait.compiler.targets import Targets
from plait.envoy import proto
from plait.model.traffic import Mirror

_MILLION: Final = 1_000_000


def policies(
    mirrors: Iterable[Mirror], clusters: Targets
) -> list[route_components_pb2.RouteAction.RequestMirrorPolicy]:
    """The mirrors of a rule; the copy keeps its Host."""
    return [
        route_components_pb2.RouteAction.RequestMirrorPolicy(
            cluster=clusters[mirror.cluster].name,
            runtime_fraction=base_pb2.RuntimeFractionalPercent(default_value=_fraction(mirror)),
            disable_shadow_host_suffix_append=True,
            trace_sampled=proto.false(),
        )
        for mirror in mirrors
        if mirror.cluster in clusters
    ]


def _fraction(mirror: Mirror) -> percent_pb2.FractionalPercent:
    return percent_pb2.FractionalPercent(
        numerator=min(_MILLION, round(mirror.numerator * _MILLION / mirror.denominator)),
        denominator=percent_pb2.FractionalPercent.MILLION,
    )
