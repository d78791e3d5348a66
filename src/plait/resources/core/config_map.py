"""v1 ConfigMap."""

from pydantic import Field

from plait.resources.meta import KubernetesObject
from plait.resources.schema import Boolean


class ConfigMap(KubernetesObject):
    """Settings; `istio-system/istio`, key `mesh`, holds the settings of the mesh."""

    data: dict[str, str] = Field(default_factory=dict[str, str])
    """Texts by key."""
    binary_data: dict[str, str] = Field(default_factory=dict[str, str])
    """Bytes by key, in base64."""
    immutable: Boolean = False
    """Whether changes are refused."""
