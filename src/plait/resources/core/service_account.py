"""v1 ServiceAccount."""

from plait.resources.meta import KubernetesObject
from plait.resources.schema import Anything, Boolean


class ServiceAccount(KubernetesObject):
    """An identity for workloads: `spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/NAME`."""

    secrets: tuple[Anything, ...] = ()
    """Kept; Plait does not read it."""
    image_pull_secrets: tuple[Anything, ...] = ()
    """Kept; Plait does not read it."""
    automount_service_account_token: Boolean | None = None
    """Kept; Plait does not read it."""
