"""A small mesh's objects, each in several variants, for property tests over sequences of changes.

Variants are chosen so that objects meet: selectors, routes, grants, Secrets and conflicts refer to each other.
"""

from plait.resources.parse import Resource
from tests.snapshot.certificates import pair, tls_secret
from tests.snapshot.resources_builders import (
    GATEWAY_API,
    authorization_policy,
    backend,
    endpoint_slice,
    gateway,
    gateway_proxy,
    grant,
    http_route,
    listener,
    outsider,
    path,
    peer_authentication,
    resource,
    rule,
    service,
    service_entry,
    sidecar,
    to_gateway,
    to_service,
    workload,
)
from tests.snapshot.resources_builders import destination_rule as policy_rule
from tests.snapshot.virtual_service_builders import destination_rule, to, virtual_service

_ALL = {"namespaces": {"from": "All"}}
_TEAM = {"namespaces": {"from": "Selector", "selector": {"matchLabels": {"team": "a"}}}}
_TLS = {"certificateRefs": [{"name": "tls", "namespace": "shop"}]}
_EXTENSION = {"type": "ExtensionRef", "extensionRef": {"group": "x.io", "kind": "Filter", "name": "f"}}
_TARGET = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"}

VARIANTS: tuple[tuple[Resource, ...], ...] = (
    (
        service("a"),
        service("a", 80, 5432),
        service("a", {"port": 80, "targetPort": "web"}, address="240.240.0.7"),
        service("a", address="None"),
        service("a", {"port": 80, "name": "tcp"}),
        service("a", selector={"app": "b"}, publishNotReadyAddresses=True),
    ),
    (service("b", address="240.240.0.2"), service("b", 81, address="240.240.0.2"), service("b", selector={})),
    (service("shop/a", address="240.240.0.3"), service("shop/a", 80, {"port": 53, "protocol": "UDP"})),
    (
        workload("a-1", "10.0.0.1", app="a", account="a"),
        workload("a-1", "10.0.0.1", app="a", account="a", ready="false"),
        workload("a-1", "10.0.0.1", app="b", account="a", protocols="8080=tcp"),
        workload("a-1", "10.0.0.9", app="a", account="z", ports={"web": 9090}, services="b:80=7070"),
        workload("a-1", "10.0.0.1", app="a", phase="Draining"),
    ),
    (
        workload("a-2", "10.0.0.2", app="a", labels={"tier": "x"}),
        outsider("a-2", "10.0.0.2", app="a"),
        workload("a-2", "127.0.0.1", app="a", capture="explicit", sidecar_ports="8080=1234"),
    ),
    (workload("shop/a-1", "10.0.1.1", app="a"), workload("shop/a-1", "10.0.1.1", app="x", node="n2")),
    (gateway_proxy("edge-1", serves="edge"), gateway_proxy("edge-1", serves="other", ready="false")),
    (endpoint_slice("b-1", "b", "10.0.0.1", "192.0.2.1"), endpoint_slice("b-1", "a", "10.0.0.2")),
    (
        service_entry("e", "a.corp", resolution="STATIC", endpoints=[{"address": "192.0.2.5"}], created=1),
        service_entry("e", "a.corp", "b.corp", given={"a.corp": "240.240.9.1"}, created=3),
        service_entry("e", "a.default.svc.cluster.local", created=1),
    ),
    (
        service_entry("f", "a.corp", resolution="DNS", created=2),
        service_entry("f", "b.corp", workloadSelector={"labels": {"app": "a"}}, location="MESH_INTERNAL", created=2),
    ),
    (
        http_route("r", [to_service("a")], rule(backend("b", 9), backend("a", 1)), created=1),
        http_route("r", [to_service("a", port=80), to_gateway("edge")], rule(backend("shop/a"), matches=[path("/x")])),
        http_route("r", [to_service("b")], rule(backend("nowhere"), filters=[_EXTENSION])),
    ),
    (
        http_route(
            "s", [to_service("a"), to_service("b")], rule(backend("a"), matches=[path("/"), path("/x", "Exact")])
        ),
        http_route("s", [to_gateway("edge", sectionName="http")], rule(backend("shop/a")), hostnames=["x.example.com"]),
    ),
    (
        http_route("shop/c", [to_service("default/a")], rule(backend("a"))),
        http_route("shop/c", [to_gateway("default/edge")], rule(backend("a"))),
    ),
    (
        gateway("edge"),
        gateway("edge", listener(allowedRoutes=_ALL, hostname="*.example.com"), listener("s", 443, "HTTPS", tls=_TLS)),
        gateway("edge", listener(allowedRoutes=_TEAM), class_name="mine"),
    ),
    (
        resource(GATEWAY_API, "GatewayClass", "mine", spec={"controllerName": "plait.dev/gateway"}),
        resource(GATEWAY_API, "GatewayClass", "mine", spec={"controllerName": "acme.com/gw"}),
    ),
    (
        grant("shop/g", source=("HTTPRoute", "default"), target=("Service", "")),
        grant("shop/g", source=("Gateway", "default"), target=("Secret", "tls")),
    ),
    (tls_secret("shop/tls"), tls_secret("shop/tls", key=pair("other")[1])),
    (resource("v1", "Namespace", "shop", labels={"team": "a"}), resource("v1", "Namespace", "shop", labels={})),
    (
        resource("v1", "Node", "here", labels={"topology.kubernetes.io/region": "eu"}, spec={"podCIDR": "10.0.0.0/24"}),
        resource("v1", "Node", "here", labels={}, spec={"podCIDR": "10.9.0.0/24"}),
    ),
    (
        peer_authentication("p", "STRICT", created=1),
        peer_authentication("p", "DISABLE", selector={"app": "a"}, ports={8080: "STRICT"}, created=1),
    ),
    (peer_authentication("q", "PERMISSIVE", created=2), peer_authentication("istio-system/q", "STRICT")),
    (
        authorization_policy("p", {"to": [{"operation": {"methods": ["GET"]}}]}),
        authorization_policy("p", selector={"matchLabels": {"app": "a"}}, action="DENY"),
        authorization_policy("p", targetRefs=[_TARGET]),
    ),
    (
        sidecar("s", "./*", created=1),
        sidecar("s", "shop/*", "*/a.corp", selector={"app": "a"}, mode="REGISTRY_ONLY", created=1),
        sidecar("s", "*/*", "~/b.default.svc.cluster.local", created=3),
    ),
    (
        sidecar("t", selector={"app": "a"}, mode="REGISTRY_ONLY", created=2),
        sidecar("t", ingress=[{"port": {"number": 8080}, "defaultEndpoint": "127.0.0.1:9000"}], created=2),
        sidecar("t", egress=[{"port": {"number": 80}, "hosts": ["./*"]}, {"hosts": ["shop/*"]}], created=2),
        sidecar("istio-system/t", "./*", mode="REGISTRY_ONLY", created=2),
    ),
    (
        virtual_service("v", to("b"), hosts=("a",), created=1),
        virtual_service("v", to("shop/a", match=[{"sourceLabels": {"app": "a"}}]), hosts=("a", "b"), exportTo=["."]),
        virtual_service("v", {"delegate": {"name": "w"}, "match": [{"port": 80}]}, to("a"), hosts=("*.local",)),
        virtual_service("v", hosts=("a",), tcp=[{"match": [{"port": 5432}], "route": to("b")["route"]}], created=3),
    ),
    (
        virtual_service("w", to("a.corp", timeout="1s"), hosts=(), created=2),
        virtual_service("w", to("b", match=[{"port": 80}, {"port": 81}]), hosts=("a",), created=2),
        virtual_service("shop/w", to("a"), hosts=("a.default", "a.corp"), created=2),
    ),
    (
        destination_rule("d", "a", "v1"),
        destination_rule("d", "*.local", "v1", "v2"),
        destination_rule("d", "b"),
    ),
    (
        policy_rule("p", "a", policy={"connectionPool": {"tcp": {"maxConnections": 3}}, "outlierDetection": {}}),
        policy_rule("p", "a", policy={"tls": {"mode": "MUTUAL", "credentialName": "tls"}}, selector={"app": "a"}),
        policy_rule("p", "*", policy={"tls": {"mode": "DISABLE"}}, exportTo=["."]),
        policy_rule("p", "a", policy={"loadBalancer": {"simple": "RANDOM"}}, created=1),
    ),
    (
        policy_rule("istio-system/p", "a.default", policy={"tls": {"mode": "ISTIO_MUTUAL"}}),
        policy_rule("istio-system/p", "a.default", policy={"connectionPool": {"http": {"maxRetries": 1}}}),
    ),
    (
        virtual_service("x", {"route": [{"destination": {"host": "b", "subset": "v1"}}]}, hosts=("b",), created=1),
        virtual_service("x", {"route": [{"destination": {"host": "a", "subset": "v2"}}]}, hosts=("b",), created=1),
    ),
    (authorization_policy("istio-system/m", {}), authorization_policy("istio-system/m", {}, action="AUDIT")),
)
"""One tuple an object (all variants of one have one key, but those of namespaces that differ)."""

OBJECTS: tuple[Resource, ...] = tuple(item for variants in VARIANTS for item in variants)
