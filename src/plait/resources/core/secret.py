"""v1 Secret. Values never appear in a repr."""

import base64
from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from plait.resources.meta import KubernetesObject
from plait.resources.schema import Boolean, Finding, when

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

    def broken(self) -> Iterator[Finding]:
        """Data is base64; a certificate has its key."""
        for key, value in self.data.items():
            yield from when(not _is_base64(value), "must be base64", "data", key)
        if self.type == "kubernetes.io/tls":
            problem = "Required value: a Secret of type kubernetes.io/tls has tls.crt and tls.key"
            for key in ("tls.crt", "tls.key"):
                yield from when(key not in self.data and key not in self.string_data, problem, "data", key)


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        return False
    return True
