"""Kubernetes' own kinds."""

from typing import Any

import pytest

from plait.resources.core.secret import Secret
from tests.resources.documents import document, findings, resource, service

SERVING: dict[str, Any] = {
    "addressType": "IPv4",
    "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": True}}],
}


@pytest.mark.parametrize(
    "made",
    [
        service(),
        service(clusterIP="None", ports=[]),
        service(type="ExternalName", externalName="example.com", ports=[]),
        service(
            selector={"app": "x"},
            ports=[
                {
                    "name": "http",
                    "port": 80,
                    "targetPort": "web",
                    "appProtocol": "kubernetes.io/h2c",
                    "nodePort": 30000,
                },
                {"name": "dns", "port": 80, "targetPort": 53, "protocol": "UDP"},
            ],
        ),
        document("v1", "Namespace", {}),
        document("v1", "Namespace"),
        document("v1", "ServiceAccount", automountServiceAccountToken=False),
        document("v1", "ConfigMap", data={"mesh": "x: 1"}),
        document("v1", "Node", {"podCIDR": "10.1.2.0/24"}, status={"addresses": [{"address": "192.168.0.1"}]}),
        document("discovery.k8s.io/v1", "EndpointSlice", **SERVING, ports=[{"name": "http", "port": 8080}]),
        document("v1", "Secret", type="kubernetes.io/tls", data={"tls.crt": "eA==", "tls.key": "eA=="}),
    ],
)
def test_right_objects(made: dict[str, Any]):
    """Objects as Kubernetes' documentation shows them are accepted."""
    assert findings(made) == []


@pytest.mark.parametrize(
    ("made", "path", "problem"),
    [
        (service(ports=[]), "spec.ports", "Required value"),
        (service(ports=[{"port": 80}, {"port": 81, "name": "b"}]), "spec.ports[0].name", "Required value"),
        (
            service(ports=[{"port": 80, "name": "a"}, {"port": 81, "name": "a"}]),
            "spec.ports[1].name",
            'Duplicate value: "a"',
        ),
        (
            service(ports=[{"port": 80, "name": "a"}, {"port": 80, "name": "b"}]),
            "spec.ports[1].port",
            "Duplicate value: 80",
        ),
        (
            service(ports=[{"port": 80, "targetPort": 0}]),
            "spec.ports[0].targetPort",
            "Invalid value: 0: must be between 1 and 65535, inclusive",
        ),
        (
            service(ports=[{"port": 80, "targetPort": True}]),
            "spec.ports[0].targetPort",
            "Invalid value: true: must be a port's number or name",
        ),
        (service(ports={"port": 80}), "spec.ports", "must be of type array, not object"),
        (service(selector={"app": 1}), "spec.selector.app", "must be of type string, not integer (1)"),
        (service(type="ExternalName"), "spec.externalName", "Required value"),
        (
            document("v1", "ConfigMap", data={"a": True}),
            "data.a",
            "must be of type string, not boolean (true)",
        ),
        (document("discovery.k8s.io/v1", "EndpointSlice", endpoints=[]), "addressType", "Required value"),
        (document("v1", "ConfigMap", spec={}), "spec", 'unknown field "spec"'),
        (
            document("v1", "Secret", data={"tls.crt": "no base64!"}),
            "data[tls.crt]",
            "must be base64",
        ),
        (
            document("v1", "Secret", type="kubernetes.io/tls", data={"tls.crt": "eA=="}),
            "data[tls.key]",
            "Required value: a Secret of type kubernetes.io/tls has tls.crt and tls.key",
        ),
    ],
)
def test_wrong_objects(made: dict[str, Any], path: str, problem: str):
    """Each rule is told at its field."""
    assert findings(made) == [(path, problem)]


def test_secrets_do_not_show_in_texts():
    """Neither the repr of a secret nor a violation about it shows its values."""
    made = document("v1", "Secret", data={"key": "c2VjcmV0"}, stringData={"other": "secret"})
    read = resource(made)
    assert isinstance(read.object, Secret)
    assert "c2VjcmV0" not in repr(read)
    assert "secret'" not in repr(read)

    told = str(findings(document("v1", "Secret", data={"key": 12345678, "other": ["hidden"]})))
    assert "12345678" not in told
    assert "hidden" not in told
