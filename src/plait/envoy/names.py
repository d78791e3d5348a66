"""Names of Envoy resources: the only place where they are built and parsed.

cluster         HOST:PORT, HOST:PORT/SUBSET       route      HOST:PORT, the frontend it decides for
direct cluster  direct/ADDRESS:PORT               scope      scope/KEY, KEY is ADDRESS:PORT or an authority
inbound cluster inbound/PORT                      listeners  outbound, inbound, inbound/PORT (explicit capture),
                                                             publish/PORT, gateway/PORT,
                                                             server-names/ADDRESS:PORT (a cluster leads to it)
"""

import itertools
import re
from functools import lru_cache
from typing import Final

OUTBOUND_LISTENER: Final = "outbound"
INBOUND_LISTENER: Final = "inbound"
PASSTHROUGH_CLUSTER: Final = "passthrough"
BLACKHOLE_CLUSTER: Final = "blackhole"
"""Never defined: what is sent there is answered with the route's status for a missing cluster."""
XDS_CLUSTER: Final = "xds"
OUTBOUND_SCOPES: Final = "outbound"
IDENTITY_SECRET: Final = "identity"  # noqa: S105 (a name, not a secret)
BUNDLE_SECRET: Final = "bundle"  # noqa: S105
SYSTEM_SECRET: Final = "system"  # noqa: S105
"""The certificate authorities that the machine's system trusts, for calls to outside."""
DESTINATION_HEADER: Final = "x-plait-destination"
DENIED_HEADER: Final = "x-plait-denied-by"
SHED_HEADER: Final = "x-plait-shed"
CALLER_HEADER: Final = "x-forwarded-client-cert"
"""Tells an app who calls it; only the mesh writes it."""
CALLER_SPELLINGS: Final = tuple(
    "".join(parts)
    for parts in itertools.product(("x",), "-_", ("forwarded",), "-_", ("client",), "-_", ("cert",))
    if "_" in parts
)
"""Other names that CGI and WSGI take for the same header: they tell `-` from `_` no more."""
LIMIT_DOMAIN: Final = "plait"
"""What limits that instances share are asked under."""
MESH_SERVER_NAME: Final = "mesh.plait.dev"
"""The TLS server name sidecars send, by which a permissive port tells the mesh's TLS from the app's own."""
FAULT_FILTER: Final = "plait.fault"
"""The HTTP filter that delays and aborts requests on purpose."""
AUTHORIZER_FILTER: Final = "plait.authorize"
"""The HTTP filter that asks other services whether a request is allowed."""
DIRECT_PREFIX: Final = "direct/"
SERVER_NAMES_PREFIX: Final = "server-names/"
CORS_FILTER: Final = "envoy.filters.http.cors"
SESSION_FILTER: Final = "envoy.filters.http.stateful_session"
METADATA: Final = "plait"
"""The namespace of our metadata on endpoints and routes."""


def cluster(host: str, port: int, subset: str = "") -> str:
    """The cluster of a service's port, or of a subset of it."""
    return f"{host}:{port}/{subset}" if subset else f"{host}:{port}"


def parse_cluster(name: str) -> tuple[str, int, str] | None:
    """(host, port, subset) of a service's cluster; None for clusters that stand for no service."""
    if name.startswith((DIRECT_PREFIX, SERVER_NAMES_PREFIX)):
        return None
    base, _, subset = name.partition("/")
    host, _, port = base.rpartition(":")
    if not host or not port.isdigit():
        return None
    return host, int(port), subset


def direct_cluster(address: str, port: int) -> str:
    """The cluster of one workload called by its own address."""
    return DIRECT_PREFIX + dialled(address, port)


def parse_direct_cluster(name: str) -> tuple[str, int] | None:
    """(address, port) of a direct cluster; None for other clusters."""
    return parse_dialled(name.removeprefix(DIRECT_PREFIX)) if name.startswith(DIRECT_PREFIX) else None


def dialled(address: str, port: int) -> str:
    """ADDRESS:PORT as Envoy prints what was dialled: the name of the demand for a workload's own address."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def server_names(address: str, port: int) -> str:
    """The listener inside an Envoy, and the cluster to it, that tell captured connections apart by server name."""
    return SERVER_NAMES_PREFIX + dialled(address, port)


_DIALLED = re.compile(r"(?:\[([0-9a-fA-F.:]+:[0-9a-fA-F.:]*)\]|([0-9]{1,3}(?:\.[0-9]{1,3}){3})):([0-9]{1,5})")


@lru_cache(4096)
def parse_dialled(text: str) -> tuple[str, int] | None:
    """(address, port) of `ADDRESS:PORT`, whose address is a literal; None for other names."""
    found = _DIALLED.fullmatch(text)
    return (found.group(1) or found.group(2), int(found.group(3))) if found else None


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


def inbound_listener(port: int) -> str:
    """The listener before a port of the workload in explicit capture."""
    return f"inbound/{port}"


def publish_listener(port: int) -> str:
    """The listener behind a port published on the machine's loopback."""
    return f"publish/{port}"


def gateway_listener(port: int) -> str:
    """The listener of a gateway's port."""
    return f"gateway/{port}"


def gateway_secret(namespace: str, name: str) -> str:
    """The certificate that a gateway's listener takes from a Secret."""
    return f"certificate/{namespace}/{name}"


_DENIAL = re.compile(r"rbac_access_denied_matched_policy\[(.*)\]")


def policy_rule(policy: str, index: int) -> str:
    """The name a rule of an authorization policy (`NAMESPACE/NAME`) bears in Envoy."""
    return f"{policy}[{index}]"


def parse_denial(details: str) -> str | None:
    """The policy rule in Envoy's response code or connection termination details; "none": no ALLOW rule matched."""
    found = _DENIAL.search(details)
    return found.group(1) if found else None
