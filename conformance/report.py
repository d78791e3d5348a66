"""The report in the form that Gateway API asks implementations for: its kind ConformanceReport."""

import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import plait
from conformance.case import claimed
from conformance.runner import Result

GATEWAY_API: Final = "v1.6.1"
CORE: Final[Mapping[str, frozenset[str]]] = {
    "MESH-HTTP": frozenset({"Mesh", "HTTPRoute"}),
    "MESH-GRPC": frozenset({"Mesh", "GRPCRoute"}),
    "GATEWAY-HTTP": frozenset({"Gateway", "ReferenceGrant", "HTTPRoute"}),
    "GATEWAY-GRPC": frozenset({"Gateway", "ReferenceGrant", "GRPCRoute"}),
    "GATEWAY-TLS": frozenset({"Gateway", "ReferenceGrant", "TLSRoute"}),
    "GATEWAY-TCP": frozenset({"Gateway", "ReferenceGrant", "TCPRoute"}),
}
_MESH: Final = frozenset(
    {
        "MeshClusterIPMatching",
        "MeshConsumerRoute",
        "MeshHTTPRouteRewritePath",
        "MeshHTTPRouteSchemeRedirect",
        "MeshHTTPRouteRedirectPort",
        "MeshHTTPRouteRedirectPath",
        "MeshHTTPRouteBackendRequestHeaderModification",
        "MeshHTTPRouteQueryParamMatching",
        "MeshHTTPRouteNamedRouteRule",
    }
)
_GATEWAY: Final = frozenset(
    {
        "GatewayPort8080",
        "GatewayStaticAddresses",
        "GatewayHTTPListenerIsolation",
        "GatewayHTTPSListenerDetectMisdirectedRequests",
        "GatewayInfrastructurePropagation",
        "GatewayAddressEmpty",
        "GatewayBackendClientCertificate",
        "GatewayFrontendClientCertificateValidation",
        "GatewayFrontendClientCertificateValidationInsecureFallback",
    }
)
_BACKEND_TLS: Final = frozenset({"BackendTLSPolicy", "BackendTLSPolicySANValidation"})
_HTTP: Final = frozenset(
    f"HTTPRoute{name}"
    for name in (
        "DestinationPortMatching",
        "BackendRequestHeaderModification",
        "QueryParamMatching",
        "MethodMatching",
        "ResponseHeaderModification",
        "PortRedirect",
        "SchemeRedirect",
        "PathRedirect",
        "HostRewrite",
        "PathRewrite",
        "RequestMirror",
        "RequestMultipleMirrors",
        "RequestPercentageMirror",
        "RequestTimeout",
        "BackendTimeout",
        "ParentRefPort",
        "BackendProtocolH2C",
        "BackendProtocolWebSocket",
        "NamedRouteRule",
        "CORS",
        "303RedirectStatusCode",
        "307RedirectStatusCode",
        "308RedirectStatusCode",
        "Retry",
        "RetryBackendTimeout",
        "RetryConnectionError",
        "BackendURLRewrite",
        "BackendRequestRedirect",
    )
)
EXPERIMENTAL: Final = frozenset(f"HTTPRouteExternalAuth{name}" for name in ("", "HTTP", "GRPC", "ForwardBody"))
"""Names that the standard's types give, and that no profile has yet."""
EXTENDED: Final[Mapping[str, frozenset[str]]] = {
    "MESH-HTTP": _MESH,
    "MESH-GRPC": _MESH,
    "GATEWAY-HTTP": _GATEWAY | _HTTP | _BACKEND_TLS,
    "GATEWAY-GRPC": _GATEWAY | {"GRPCRouteNamedRouteRule", "GRPCRouteRequestHeaderModifier"},
    "GATEWAY-TLS": _GATEWAY | {"TLSRouteModeTerminate", "TLSRouteModeMixed"},
    "GATEWAY-TCP": _GATEWAY,
}


def report(results: Sequence[Result]) -> dict[str, Any]:
    """The report of these results; the date is today's."""
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "ConformanceReport",
        "implementation": {
            "organization": "plait",
            "project": "plait",
            "url": "https://plait.dev",
            "version": plait.__version__,
            "contact": ["@plait/maintainers"],
        },
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "gatewayAPIVersion": GATEWAY_API,
        "gatewayAPIChannel": "experimental",
        "mode": "default",
        "profiles": [_profile(name, results) for name in CORE],
        "succeededProvisionalTests": [],
    }


def _profile(name: str, results: Sequence[Result]) -> dict[str, Any]:
    everything = CORE[name] | EXTENDED[name]
    counted = [result for result in results if set(result.case.features) <= everything]
    core = [result for result in counted if set(result.case.features) <= CORE[name]]
    extended = [result for result in counted if result not in core]
    told: dict[str, Any] = {"name": name, "core": _part(core)}
    if extended:
        features = claimed(result.case for result in extended) - CORE[name]
        failed = {feature for result in extended if not result.passed for feature in result.case.features}
        told["extended"] = _part(extended) | {
            "supportedFeatures": sorted(features - failed),
            "unsupportedFeatures": sorted(EXTENDED[name] - (features - failed)),
        }
    told["summary"] = f"Core tests {_words(core)}. Extended tests {_words(extended)}."
    return told


def _part(results: Sequence[Result]) -> dict[str, Any]:
    failed = [result.case.name for result in results if not result.passed]
    statistics = {"Passed": len(results) - len(failed), "Failed": len(failed), "Skipped": 0}
    told: dict[str, Any] = {"result": "failure" if failed else "success", "statistics": statistics}
    return told | ({"failedTests": failed} if failed else {})


def _words(results: Iterable[Result]) -> str:
    passed = [result.passed for result in results]
    if not passed:
        return "have no case"
    return "succeeded" if all(passed) else f"failed with {passed.count(False)} test failures"


def uncovered(features: Iterable[str]) -> list[str]:
    """The features of the standard that no case has."""
    return sorted(known() - set(features))


def known() -> frozenset[str]:
    """The features that the standard names, of the kinds that Plait has."""
    return EXPERIMENTAL.union(*CORE.values(), *EXTENDED.values())
