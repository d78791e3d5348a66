"""The traffic rules of the soak: what a team has in force, and what it changes while calls go on.

web       HTTPRoute: a split between two Services, and a header that differs each time
shop      VirtualService and DestinationRule: two subsets with shares, retries and a time limit, copies of requests
          to another Service, a delay that comes and goes, and a balancer that changes (so the clusters do)
counted   a Service whose requests are all counted by control's rate limits, far below the limit
"""

from collections.abc import Mapping
from typing import Any, Final

SHARES: Final = (100, 0, 50, 90, 10)
BALANCERS: Final = ("ROUND_ROBIN", "LEAST_REQUEST", "RANDOM")
_NETWORKING: Final = "networking.istio.io/v1"


def services() -> list[dict[str, Any]]:
    """The Services beside those that workloads offer themselves."""
    limit = {"traffic.plait.dev/global-rate-limit": "100000/s"}
    return [_service("web", {}), _service("shop", {}), _service("counted", limit)]


def rules(step: int) -> list[dict[str, Any]]:
    """Every rule as it is after so many changes."""
    share = SHARES[step % len(SHARES)]
    return [_route(share, str(step)), _virtual_service(share, delayed=step % 4 == 0), _destination_rule(step)]


def _service(name: str, annotations: Mapping[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default", "annotations": dict(annotations)},
        "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": 8000}]},
    }


def _route(one: int, mark: str) -> dict[str, Any]:
    backends = [{"name": "one", "port": 80, "weight": one}, {"name": "two", "port": 80, "weight": 100 - one}]
    change = {"set": [{"name": "x-version", "value": mark}]}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "parentRefs": [{"group": "", "kind": "Service", "name": "web"}],
            "rules": [
                {
                    "backendRefs": backends,
                    "filters": [{"type": "ResponseHeaderModifier", "responseHeaderModifier": change}],
                }
            ],
        },
    }


def _virtual_service(first: int, *, delayed: bool) -> dict[str, Any]:
    shares = {"v1": first, "v2": 100 - first}
    rule: dict[str, Any] = {
        "route": [
            {"destination": {"host": "shop", "subset": name}, "weight": weight} for name, weight in shares.items()
        ],
        "retries": {"attempts": 2, "retryOn": "connect-failure,refused-stream"},
        "timeout": "10s",
        "mirror": {"host": "two", "port": {"number": 80}},
        "mirrorPercentage": {"value": 20},
    }
    if delayed:
        rule["fault"] = {"delay": {"fixedDelay": "0.020s", "percentage": {"value": 30}}}
    return {
        "apiVersion": _NETWORKING,
        "kind": "VirtualService",
        "metadata": {"name": "shop", "namespace": "default"},
        "spec": {"hosts": ["shop"], "http": [rule]},
    }


def _destination_rule(step: int) -> dict[str, Any]:
    return {
        "apiVersion": _NETWORKING,
        "kind": "DestinationRule",
        "metadata": {"name": "shop", "namespace": "default"},
        "spec": {
            "host": "shop",
            "trafficPolicy": {"loadBalancer": {"simple": BALANCERS[step // 3 % len(BALANCERS)]}},
            "subsets": [{"name": name, "labels": {"version": name}} for name in ("v1", "v2")],
        },
    }
