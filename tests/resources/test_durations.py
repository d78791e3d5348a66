"""A number without its unit where a duration belongs: what is told as the remedy is itself taken."""

from typing import Any

import pytest

from plait.resources.parse import validate
from plait.resources.yaml import load

ISTIO = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: v}}
spec:
  hosts: [ratings]
  http:
  - route: [{{destination: {{host: ratings}}}}]
    timeout: {value}
"""
GATEWAY = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: r}}
spec:
  rules:
  - backendRefs: [{{name: ratings, port: 80}}]
    timeouts: {{request: {value}}}
"""
LABEL = """
apiVersion: v1
kind: Service
metadata: {{name: s}}
spec:
  selector: {{version: {value}}}
  ports: [{{port: 80}}]
"""


def told(text: str, value: Any) -> list[str]:
    """The sentences about the object with that value."""
    loaded = load(text.format(value=value), "x.yaml")
    return [str(item) for item in (*loaded.violations, *validate(loaded.documents))]


@pytest.mark.parametrize("text", [ISTIO, GATEWAY], ids=["istio", "gateway"])
def test_the_remedy_is_a_duration(text: str) -> None:
    """Quotes around 5 would only lead to the next mistake."""
    (sentence,) = told(text, 5)

    assert sentence.endswith("write it with its unit: 5s")
    assert told(text, "5s") == []


def test_other_texts_are_quoted() -> None:
    """A label may be a number in quotes."""
    (sentence,) = told(LABEL, 5)

    assert sentence.endswith('put it in quotes: "5"')
