"""gateway.networking.k8s.io GatewayClass."""

from typing import Annotated

from pydantic import Field

from plait.resources.formats import ControllerName
from plait.resources.gateway_api.references import ObjectReference
from plait.resources.meta import KubernetesObject
from plait.resources.schema import Model


class GatewayClassSpec(Model):
    """Specification of a GatewayClass."""

    controller_name: ControllerName
    """Who serves Gateways of this class; Plait is `plait.dev/gateway`."""
    description: Annotated[str, Field(max_length=64)] | None = None
    """A description for people."""
    parameters_ref: ObjectReference | None = None
    """Parameters for the controller."""


class GatewayClass(KubernetesObject):
    """A kind of Gateway, named by its controller."""

    spec: GatewayClassSpec
    """Specification."""
