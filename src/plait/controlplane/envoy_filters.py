"""Refuses EnvoyFilters, which patch a configuration that is not Istio's here, and names what to use instead."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from plait.api.shapes import list_at, map_at
from plait.resources.violations import Violation

_BY_CONTENT: Final = (
    ("local_ratelimit", "the annotation traffic.plait.dev/rate-limit of the Service"),
    ("ratelimit", "the annotation traffic.plait.dev/global-rate-limit of the Service"),
    ("rbac", "an AuthorizationPolicy"),
    ("ext_authz", "an AuthorizationPolicy with action CUSTOM"),
    ("jwt_authn", "a RequestAuthentication"),
    ("filters.http.fault", "a VirtualService with fault"),
    ("filters.http.cors", "a VirtualService with corsPolicy"),
    ("header_mutation", "a VirtualService with headers"),
    ("access_log", "a Telemetry"),
    ("tracing", "a Telemetry"),
    ("circuit_breakers", "a DestinationRule with connectionPool"),
    ("outlier_detection", "a DestinationRule with outlierDetection"),
    ("tcp_keepalive", "a DestinationRule with connectionPool.tcp"),
)
_BY_PLACE: Final = {
    "CLUSTER": "a DestinationRule",
    "HTTP_ROUTE": "an HTTPRoute or a VirtualService",
    "VIRTUAL_HOST": "an HTTPRoute or a VirtualService",
    "ROUTE_CONFIGURATION": "an HTTPRoute or a VirtualService",
    "LISTENER": "a Gateway or a Sidecar",
    "FILTER_CHAIN": "a Gateway or a Sidecar",
    "NETWORK_FILTER": "a DestinationRule, or a Gateway at the edge",
}


def refusals(document: Mapping[str, Any]) -> Iterator[Violation]:
    """One violation a patch (one in all without patches), with the kind that can do the same, if any."""
    metadata = map_at(document, "metadata")
    who = f"EnvoyFilter {metadata.get('namespace', '')}/{metadata.get('name', '')}"
    patches = list_at(document, "spec", "configPatches") or [{}]
    for index, patch in enumerate(patches):
        yield Violation(
            resource=who,
            path=f"spec.configPatches[{index}]" if patch else "spec",
            problem="EnvoyFilter objects are not applied to Plait's proxies",
            remedy=f"{_instead(patch)}; `--allow-envoy-filter` of plait up and control stores it without effect",
        )


def _instead(patch: Mapping[str, Any]) -> str:
    written = json.dumps(patch)
    for part, kind in _BY_CONTENT:
        if part in written:
            return f"use {kind}"
    kind = _BY_PLACE.get(str(patch.get("applyTo", "")))
    return f"use {kind}" if kind else "no kind does what it does; remove it"
