"""The xDS resource types, and the order in which a consistent change is sent.

Additions go in `PUSH_STAGES` order, each stage acknowledged before the next is sent, so that nothing
refers to what is not there yet; removals come last, in the reverse order. `NAME` and `SCOPE` come after
what they lead to: a DNS answer waits for its NAME resource, so it waits for everything else too.
"""

from typing import Final

_PREFIX: Final = "type.googleapis.com/"

CLUSTER: Final = _PREFIX + "envoy.config.cluster.v3.Cluster"
ENDPOINT: Final = _PREFIX + "envoy.config.endpoint.v3.ClusterLoadAssignment"
SECRET: Final = _PREFIX + "envoy.extensions.transport_sockets.tls.v3.Secret"
LISTENER: Final = _PREFIX + "envoy.config.listener.v3.Listener"
ROUTE: Final = _PREFIX + "envoy.config.route.v3.RouteConfiguration"
SCOPE: Final = _PREFIX + "envoy.config.route.v3.ScopedRouteConfiguration"
NAME: Final = _PREFIX + "plait.v1.Name"
"""Our own, between control and relay only: a host's DNS answer. Subscribing to one is a workload's demand for it."""

PUSH_STAGES: Final = ((CLUSTER, ENDPOINT, SECRET), (LISTENER, ROUTE), (SCOPE,), (NAME,))
ENVOY_TYPES: Final = (CLUSTER, ENDPOINT, SECRET, LISTENER, ROUTE, SCOPE)
ALL_TYPES: Final = (*ENVOY_TYPES, NAME)
