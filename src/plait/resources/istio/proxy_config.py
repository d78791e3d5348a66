"""networking.istio.io ProxyConfig: settings of single proxies."""

from typing import Annotated

from pydantic import Field

from plait.resources.istio.selectors import WorkloadSelector
from plait.resources.meta import KubernetesObject
from plait.resources.schema import Model


class ProxyImage(Model):
    """The image of the proxy."""

    image_type: str = ""
    """Kept; Plait's proxies are not images."""


class ProxyConfigSpec(Model):
    """Specification of a ProxyConfig."""

    selector: WorkloadSelector | None = None
    """Workloads it is for."""
    concurrency: Annotated[int, Field(strict=True, ge=0, le=1024)] | None = None
    """Threads of the proxy; 0 for as many as processors."""
    environment_variables: dict[str, str] = Field(default_factory=dict[str, str])
    """Variables of the proxy's process."""
    image: ProxyImage = ProxyImage()
    """Image of the proxy."""


class ProxyConfig(KubernetesObject):
    """Settings of proxies."""

    spec: ProxyConfigSpec = ProxyConfigSpec()
    """Specification."""
