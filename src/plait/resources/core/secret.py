"""v1 Secret. Values never appear in a repr."""

from typing import Annotated

from pydantic import Field

from plait.resources.meta import KubernetesObject
from plait.resources.schema import Boolean

Hidden = Annotated[dict[str, str], Field(repr=False)]


class Secret(KubernetesObject):
    """Certificates and keys; type `kubernetes.io/tls` has `tls.crt` and `tls.key`."""

    type: str = "Opaque"
    """What the keys of `data` mean."""
    data: Hidden = Field(default_factory=dict[str, str], repr=False)
    """Bytes by key, in base64."""
    string_data: Hidden = Field(default_factory=dict[str, str], repr=False)
    """Texts by key; merged into `data` when written."""
    immutable: Boolean = False
    """Whether changes are refused."""
