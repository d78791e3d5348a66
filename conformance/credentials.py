"""Objects of the API that hold what the cases' authorities signed."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any


def tls_secret(namespace: str, name: str, leaf: tuple[str, str]) -> Mapping[str, Any]:
    """A Secret with a certificate and its key."""
    data = {"tls.crt": leaf[0], "tls.key": leaf[1]}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"namespace": namespace, "name": name},
        "data": {key: base64.b64encode(text.encode()).decode() for key, text in data.items()},
    }


def authority_map(namespace: str, name: str, roots: Sequence[str]) -> Mapping[str, Any]:
    """A ConfigMap with roots."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"namespace": namespace, "name": name},
        "data": {"ca.crt": "".join(roots)},
    }
