"""SPIFFE IDs of the mesh: built and parsed only here.

    workload   spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/SERVICE_ACCOUNT
    machine    spiffe://TRUST_DOMAIN/plait/node/NAME
    control    spiffe://TRUST_DOMAIN/plait/control

No namespace can be written so that a workload's ID becomes a machine's: the first path segment differs.
"""

import re
from typing import Final

from plait.errors import RefusedError

CONTROL_SERVER_NAME: Final = "control.plait.internal"
"""The DNS name in control's certificate, and in no other: what machines verify whatever address they dial."""

_TRUST_DOMAIN: Final = re.compile(r"[a-z0-9._-]{1,255}")
_SEGMENT: Final = re.compile(r"[A-Za-z0-9._-]{1,253}")


def trust_domain(name: str) -> str:
    """The name itself if SPIFFE allows it as a trust domain; RefusedError otherwise."""
    if not _TRUST_DOMAIN.fullmatch(name):
        raise RefusedError(
            f"trust domain {name!r} is not valid",
            "use lower-case letters, digits, dots, dashes and underscores, at most 255",
        )
    return name


def _segment(value: str, what: str) -> str:
    if not _SEGMENT.fullmatch(value) or value in {".", ".."}:
        raise RefusedError(f"{what} {value!r} cannot be part of an identity", "use letters, digits, dots and dashes")
    return value


def workload_id(domain: str, namespace: str, service_account: str) -> str:
    """The SPIFFE ID of the workloads that run as a service account."""
    namespace, account = _segment(namespace, "namespace"), _segment(service_account, "service account")
    return f"spiffe://{domain}/ns/{namespace}/sa/{account}"


def node_id(domain: str, node: str) -> str:
    """The SPIFFE ID of a machine's node agent."""
    return f"spiffe://{domain}/plait/node/{_segment(node, 'node')}"


def control_id(domain: str) -> str:
    """The SPIFFE ID of the control plane."""
    return f"spiffe://{domain}/plait/control"


def parse_node(spiffe_id: str, domain: str) -> str | None:
    """The machine's name in its SPIFFE ID; None for every other ID and for other trust domains."""
    name = spiffe_id.removeprefix(f"spiffe://{domain}/plait/node/")
    return name if name != spiffe_id and _SEGMENT.fullmatch(name) else None


def parse_workload(spiffe_id: str, domain: str) -> tuple[str, str] | None:
    """(namespace, service account) in a workload's SPIFFE ID; None for every other ID."""
    match spiffe_id.removeprefix(f"spiffe://{domain}/").split("/"):
        case ["ns", namespace, "sa", account] if namespace and account:
            return namespace, account
        case _:
            return None
