"""EnvoyFilters are refused with what to use instead, unless the mesh was told to keep them."""

from typing import Any

import pytest

from plait.controlplane.admission import Admission


def envoy_filter(*patches: dict[str, Any]) -> dict[str, Any]:
    """An EnvoyFilter with these patches."""
    return {
        "apiVersion": "networking.istio.io/v1alpha3",
        "kind": "EnvoyFilter",
        "metadata": {"name": "tuned", "namespace": "default"},
        "spec": {"configPatches": list(patches)},
    }


@pytest.mark.parametrize(
    ("patch", "remedy"),
    [
        ({"applyTo": "CLUSTER", "patch": {"value": {"connect_timeout": "1s"}}}, "use a DestinationRule;"),
        ({"applyTo": "CLUSTER", "patch": {"value": {"circuit_breakers": {}}}}, "with connectionPool;"),
        ({"applyTo": "HTTP_ROUTE"}, "use an HTTPRoute or a VirtualService;"),
        (
            {"applyTo": "HTTP_FILTER", "patch": {"value": {"name": "envoy.filters.http.local_ratelimit"}}},
            "use the annotation traffic.plait.dev/rate-limit of the Service;",
        ),
        (
            {"applyTo": "HTTP_FILTER", "patch": {"value": {"name": "envoy.filters.http.ratelimit"}}},
            "use the annotation traffic.plait.dev/global-rate-limit of the Service;",
        ),
        ({"applyTo": "HTTP_FILTER", "patch": {"value": {"name": "envoy.filters.http.lua"}}}, "no kind does"),
    ],
)
def test_each_patch_is_refused_with_what_to_use(patch: dict[str, Any], remedy: str) -> None:
    """The kind is chosen by what the patch contains, else by where it applies."""
    _, (violation,) = Admission().admit(envoy_filter(patch), None)

    assert violation.path == "spec.configPatches[0]"
    assert remedy in violation.remedy


def test_without_patches_it_is_refused_all_the_same() -> None:
    """An empty one says the same once."""
    _, violations = Admission().admit(envoy_filter(), None)

    assert [violation.path for violation in violations] == ["spec"]


def test_a_mesh_may_keep_them() -> None:
    """With --allow-envoy-filter it is stored as it is; it does not act."""
    admission = Admission()
    admission.takes_envoy_filters = True

    assert admission.admit(envoy_filter({"applyTo": "CLUSTER"}), None) == (envoy_filter({"applyTo": "CLUSTER"}), ())
