"""How a gateway learns its clients' addresses: the annotation `proxy.istio.io/config` of a Gateway, as Istio has it.

gatewayTopology: {numTrustedProxies: 1, proxyProtocol: {}}
"""

from collections.abc import Mapping
from typing import Any, Final, cast

import yaml

from plait.model.gateways import ClientAddresses
from plait.snapshot.conditions import Problem

ANNOTATION: Final = "proxy.istio.io/config"
_MOST: Final = 32


def client_addresses(annotations: Mapping[str, str]) -> ClientAddresses:
    """What the annotation says; raises ValueError with a sentence where it says nothing that can be done."""
    text = annotations.get(ANNOTATION, "")
    try:
        document = yaml.safe_load(text) if text else None
    except yaml.YAMLError as error:
        raise ValueError(f"annotation {ANNOTATION} is no YAML") from error
    topology = _at(_at(document, "the annotation").get("gatewayTopology"), "gatewayTopology")
    hops = topology.get("numTrustedProxies", 0)
    if not isinstance(hops, int) or isinstance(hops, bool) or not 0 <= hops <= _MOST:
        raise ValueError(f"annotation {ANNOTATION}: numTrustedProxies must be a number from 0 to {_MOST}")
    return ClientAddresses(trusted_proxies=hops, proxy_protocol=topology.get("proxyProtocol") is not None)


def read_client_addresses(annotations: Mapping[str, str]) -> tuple[ClientAddresses, tuple[Problem, ...]]:
    """What the annotation says, and what is wrong with it; then clients are those that connect."""
    try:
        return client_addresses(annotations), ()
    except ValueError as error:
        return ClientAddresses(), (Problem(reason="UnsupportedValue", message=str(error)),)


def _at(value: object, name: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ValueError(f"annotation {ANNOTATION}: {name} must have fields")  # noqa: TRY004 (what a user wrote)
    return cast("Mapping[str, Any]", value)
