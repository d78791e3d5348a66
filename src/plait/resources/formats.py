"""The string formats of Kubernetes, Gateway API and Istio as annotated types, each with a sentence for its pattern.

Patterns are the standards' own (they also appear in OpenAPI); `SAYINGS` maps each to what a user can understand.
"""

import re
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

LABEL_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
SUBDOMAIN_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
GROUP_PATTERN = r"^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
KIND_PATTERN = r"^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$"
WILDCARD_HOST_PATTERN = r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
HEADER_NAME_PATTERN = r"^[A-Za-z0-9!#$%&'*+\-.^_\x60|~]+$"
HEADER_VALUE_PATTERN = r"^[!-~]+([\t ]?[!-~]+)*$"
GATEWAY_DURATION_PATTERN = r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"
SERVICE_NAME_PATTERN = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
PORT_NAME_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
LABEL_VALUE_PATTERN = r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$"
PATH_CHARACTERS = r"^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+$"
CONTROLLER_PATTERN = (
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/[A-Za-z0-9\/\-._~%!$&'()*+,;=:]+$"
)

_ALPHANUMERIC = "lower case letters, digits and '-', and must start and end with a letter or digit"
SAYINGS = {
    LABEL_PATTERN: f"a lowercase RFC 1123 label must consist of {_ALPHANUMERIC}",
    SUBDOMAIN_PATTERN: f"a lowercase RFC 1123 subdomain must consist of parts joined by '.', each of {_ALPHANUMERIC}",
    GROUP_PATTERN: "an API group is empty (core) or a lowercase DNS name like gateway.networking.k8s.io",
    KIND_PATTERN: "a kind consists of letters, digits and '-', and starts with a letter",
    WILDCARD_HOST_PATTERN: "a hostname is a lowercase DNS name, with '*.' in front for all its subdomains",
    HEADER_NAME_PATTERN: "a name consists of letters, digits and !#$%&'*+-.^_`|~",
    HEADER_VALUE_PATTERN: "a value consists of visible ASCII characters, without spaces at its ends",
    GATEWAY_DURATION_PATTERN: "a duration (GEP-2257) is one to four whole numbers with units h, m, s or ms, like 1m30s",
    SERVICE_NAME_PATTERN: "a DNS-1035 label consists of lower case letters, digits and '-', and starts with a letter",
    LABEL_VALUE_PATTERN: "a label value is empty or consists of letters, digits, '-', '_' and '.'",
    PATH_CHARACTERS: "a path consists of the characters that RFC 3986 allows in paths",
    CONTROLLER_PATTERN: "a controller name is a domain, '/' and a path, like plait.dev/gateway",
}

Label = Annotated[str, Field(min_length=1, max_length=63, pattern=LABEL_PATTERN)]
Subdomain = Annotated[str, Field(min_length=1, max_length=253, pattern=SUBDOMAIN_PATTERN)]
Group = Annotated[str, Field(max_length=253, pattern=GROUP_PATTERN)]
KindName = Annotated[str, Field(min_length=1, max_length=63, pattern=KIND_PATTERN)]
ObjectNameText = Annotated[str, Field(min_length=1, max_length=253)]
Hostname = Annotated[str, Field(min_length=1, max_length=253, pattern=WILDCARD_HOST_PATTERN)]
PreciseHostname = Annotated[str, Field(min_length=1, max_length=253, pattern=SUBDOMAIN_PATTERN)]
HeaderName = Annotated[str, Field(min_length=1, max_length=256, pattern=HEADER_NAME_PATTERN)]
HeaderValue = Annotated[str, Field(min_length=1, max_length=4096, pattern=HEADER_VALUE_PATTERN)]
GatewayDuration = Annotated[str, Field(pattern=GATEWAY_DURATION_PATTERN)]
PathText = Annotated[str, Field(max_length=1024)]
LabelValue = Annotated[str, Field(max_length=63, pattern=LABEL_VALUE_PATTERN)]
ControllerName = Annotated[str, Field(min_length=1, max_length=253, pattern=CONTROLLER_PATTERN)]

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_GO_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(h|ms|m|s|us|µs|ns)")


def duration_seconds(text: str) -> float | None:
    """The seconds of a duration like `1m30s`, `500ms` or `1.5s` (Go's syntax, without sign), None if it is none."""
    if text == "0":
        return 0.0
    parts = list(_GO_PART.finditer(text))
    if not parts or "".join(part[0] for part in parts) != text:
        return None
    return sum(float(part[1]) * _UNITS[part[2]] for part in parts)


_QUALIFIED = re.compile(r"(?:([^/]*)/)?((?:[A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])")
_LABEL_VALUE = re.compile(LABEL_VALUE_PATTERN)
_LABEL_LENGTH = 63
_NAME_LENGTH = 253


def fits(pattern: str, text: str, limit: int) -> bool:
    """Whether a whole text matches a pattern and is not too long."""
    return len(text) <= limit and re.fullmatch(pattern, text) is not None


@lru_cache(maxsize=10_000)
def is_qualified(key: str) -> bool:
    """Whether a text may be the key of a label or annotation."""
    match = _QUALIFIED.fullmatch(key)
    if match is None or len(match[2]) > _LABEL_LENGTH:
        return False
    return match[1] is None or fits(SUBDOMAIN_PATTERN, match[1], _NAME_LENGTH)


def is_label_value(value: str) -> bool:
    """Whether a text may be the value of a label."""
    return len(value) <= _LABEL_LENGTH and _LABEL_VALUE.fullmatch(value) is not None


def _istio_duration(text: str) -> str:
    seconds = duration_seconds(text)
    if seconds is None or seconds < 0.001:
        raise PydanticCustomError("duration", "must be a valid duration greater than 1ms, such as 5s or 250ms")
    return text


IstioDuration = Annotated[str, AfterValidator(_istio_duration)]
"""A duration in Go's syntax, like `1.5s` or `1m30s`."""
