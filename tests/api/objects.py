"""Builders of Kubernetes objects for the tests of the API."""

from typing import Any

Document = dict[str, Any]


def service(
    name: str = "reviews", *, namespace: str = "default", ports: tuple[int, ...] = (80,), **labels: str
) -> Document:
    """A Service with named ports."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace, **({"labels": labels} if labels else {})},
        "spec": {
            "selector": {"app": name},
            "ports": [{"name": f"http-{port}", "port": port, "targetPort": 8080} for port in ports],
        },
    }


def http_route(
    name: str = "reviews", *, namespace: str = "default", backend: str = "reviews", **changes: Any
) -> Document:
    """An HTTPRoute of the service of its name."""
    parent = {"group": "", "kind": "Service", "name": name}
    rules = [{"backendRefs": [{"name": backend, "port": 80}]}]
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"parentRefs": [parent], "rules": rules, **changes},
    }


def gateway(*listeners: str, name: str = "edge") -> Document:
    """A Gateway with HTTP listeners of those names on ports from 8001."""
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "gatewayClassName": "plait",
            "listeners": [
                {"name": listener, "port": port, "protocol": "HTTP"}
                for port, listener in enumerate(listeners, start=8001)
            ],
        },
    }


def deployment(name: str = "web", *, image: str = "nginx", **env: str) -> Document:
    """A Deployment, which Plait only stores."""
    container = {"name": name, "image": image, "env": [{"name": key, "value": value} for key, value in env.items()]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}},
        },
    }


def namespace(name: str) -> Document:
    """A Namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def config_map(name: str, **data: str) -> Document:
    """A ConfigMap."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "default"},
        "data": data,
    }
