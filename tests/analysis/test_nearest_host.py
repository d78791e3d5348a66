"""Names that were misspelt are told with the name that was meant, however they were spelt."""

import pytest

from tests.analysis.test_messages import found

ROUTE = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r, namespace: shop}
spec:
  parentRefs: [{group: "", kind: Service, name: reviews}]
  rules: [{backendRefs: [{name: ratigns, port: 80}]}]
"""
RULE = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: r, namespace: other}
spec: {host: ratigns.shop}
"""


@pytest.mark.parametrize("text", [ROUTE, RULE], ids=["route", "rule"])
def test_the_nearest_host_is_named(text: str) -> None:
    """A backend of a route is a name without dots, and a host may be spelt with its namespace only."""
    remedies = [finding.remedy for finding in found(text) if finding.message.code == "PLT0101"]

    assert remedies == ["did you mean ratings.shop.svc.cluster.local?"]
