"""Names of Envoy resources: the only place where they are built and parsed.

    cluster         HOST:PORT, HOST:PORT/SUBSET       route      HOST:PORT, the frontend it decides for
    direct cluster  direct/ADDRESS:PORT               scope      scope/KEY, KEY is ADDRESS:PORT or an authority
    inbound cluster inbound/PORT                      listeners  outbound, inbound, publish/PORT, gateway/PORT
"""

from typing import Final

OUTBOUND_LISTENER: Final = "outbound"
INBOUND_LISTENER: Final = "inbound"
PASSTHROUGH_CLUSTER: Final = "passthrough"
BLACKHOLE_CLUSTER: Final = "blackhole"
XDS_CLUSTER: Final = "xds"
OUTBOUND_SCOPES: Final = "outbound"
IDENTITY_SECRET: Final = "identity"
BUNDLE_SECRET: Final = "bundle"
DESTINATION_HEADER: Final = "x-plait-destination"


def cluster(host: str, port: int, subset: str = "") -> str:
    """The cluster of a service's port, or of a subset of it."""
    return f"{host}:{port}/{subset}" if subset else f"{host}:{port}"


def parse_cluster(name: str) -> tuple[str, int, str] | None:
    """(host, port, subset) of a service's cluster; None for clusters that stand for no service."""
    base, _, subset = name.partition("/")
    host, _, port = base.rpartition(":")
    if not host or not port.isdigit():
        return None
    return host, int(port), subset


def direct_cluster(address: str, port: int) -> str:
    """The cluster of one workload called by its own address."""
    return f"direct/{address}:{port}"


def inbound_cluster(port: int) -> str:
    """The cluster that leads to the app itself."""
    return f"inbound/{port}"


def route(host: str, port: int) -> str:
    """The route configuration of a frontend."""
    return f"{host}:{port}"


def parse_route(name: str) -> tuple[str, int] | None:
    """(host, port) of the frontend that a route configuration decides for; None for inbound and gateway routes."""
    host, _, port = name.rpartition(":")
    return (host, int(port)) if host and port.isdigit() and "/" not in name else None


def inbound_route(port: int) -> str:
    """The route configuration of a port of the workload itself."""
    return f"inbound/{port}"


def gateway_route(port: int, listener: str = "") -> str:
    """The route configuration of a gateway's port (plaintext) or of one of its TLS listeners."""
    return f"gateway/{port}/{listener}" if listener else f"gateway/{port}"


def scope(key: str) -> str:
    """The scoped route configuration for a key."""
    return f"scope/{key}"


def publish_listener(port: int) -> str:
    """The listener behind a port published on the machine's loopback."""
    return f"publish/{port}"


def gateway_listener(port: int) -> str:
    """The listener of a gateway's port."""
    return f"gateway/{port}"


def gateway_secret(namespace: str, name: str) -> str:
    """The certificate that a gateway's listener takes from a Secret."""
    return f"certificate/{namespace}/{name}"
