"""v1 Namespace."""

from plait.resources.formats import LABEL_PATTERN
from plait.resources.meta import KubernetesObject
from plait.resources.schema import Model


class NamespaceSpec(Model):
    """Specification of a Namespace."""

    finalizers: tuple[str, ...] = ()
    """Ignored; kept because Kubernetes writes it."""


class Namespace(KubernetesObject):
    """A space for names; services and policies belong to one."""

    name_pattern = LABEL_PATTERN

    spec: NamespaceSpec = NamespaceSpec()
    """Specification."""
