"""What the owner of the mesh keeps: Secrets, and writing in the mesh's own namespace.

Secrets hold private keys and the records of tokens: who reads one may pose as a server, who writes one may become
owner. So they are refused to users with a bearer token of their own, on every path that reaches objects, and so are
writes to the namespace where the mesh keeps what it knows of machines and users.
"""

from typing import Final

from plait.api.errors import ApiError
from plait.store.store import ObjectKey

OWNER: Final = "owner"
SYSTEM_NAMESPACE: Final = "plait-system"
_READS: Final = ("GET", "HEAD")


def refuse_kept(user: str, method: str, key: ObjectKey) -> None:
    """Raise ApiError 403 unless the user may do that (an HTTP method) with an object, or with a collection (no name).

    A collection without a namespace is one over all of them.
    """
    if user == OWNER or not _is_kept(method, key):
        return
    verb = "read" if method in _READS else "write"
    what = f"{key.kind} {key.name}".strip() + (f" in {key.namespace}" if key.namespace else "")
    raise ApiError(403, f"{user} may not {verb} {what}", "ask the owner of the mesh")


def _is_kept(method: str, key: ObjectKey) -> bool:
    if (key.group, key.kind) == ("", "Secret"):
        return True
    if method in _READS:
        return False
    everywhere = method == "DELETE" and not key.namespace and not key.name
    itself = (key.group, key.kind, key.name) == ("", "Namespace", SYSTEM_NAMESPACE)
    return everywhere or itself or key.namespace == SYSTEM_NAMESPACE
