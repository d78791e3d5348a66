"""What Envoy would refuse in names and values that users write, and Istio's own rules for hosts.

Envoy rejects a whole answer for one bad header name, so each is looked at when it is applied.
"""

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from plait.resources.formats import HEADER_NAME_PATTERN, SUBDOMAIN_PATTERN, fits
from plait.resources.schema import Finding, when

_BREAKING: Final = frozenset("\r\n\0")
_LONGEST: Final = 16_384
_HOST: Final = frozenset({"host", ":authority"})
MAXIMUM: Final = 4_294_967_295
"""The largest number that weights and counts add up to in Envoy."""


def broken_header_names(names: Iterable[str], *path: str | int) -> Iterator[Finding]:
    """Names that are no header's."""
    for name in names:
        wrong = name.lower() not in _HOST and not fits(HEADER_NAME_PATTERN, name, 256)
        problem = f'Invalid value: "{name}": a header name consists of letters, digits and !#$%&\'*+-.^_`|~'
        yield from when(wrong, problem, *path)


def broken_headers(headers: Mapping[str, str], *path: str | int) -> Iterator[Finding]:
    """Headers whose name is none, or whose value would end the header."""
    yield from broken_header_names(headers, *path)
    for name, value in headers.items():
        yield from broken_text(value, *path, name)


def broken_text(text: str | None, *path: str | int) -> Iterator[Finding]:
    """A text that would end the line that it is written into, or is too long for one."""
    ends = not _BREAKING.isdisjoint(text or "")
    yield from when(ends, "Invalid value: must not contain line breaks or NUL", *path)
    yield from when(len(text or "") > _LONGEST, f"Too long: may not be longer than {_LONGEST} characters", *path)


def broken_subnets(subnets: Iterable[str], *path: str | int) -> Iterator[Finding]:
    """What is no address and no range of addresses."""
    for index, text in enumerate(subnets):
        try:
            ipaddress.ip_network(text, strict=False)
        except ValueError:
            yield from when(True, f'Invalid value: "{text}": must be an address or a CIDR range', *path, index)


def broken_host(host: str, *path: str | int) -> Iterator[Finding]:
    """What is no DNS name, no wildcard in front of one, and no address."""
    name = host.rstrip(".").lower()
    wrong = host != "*" and not fits(SUBDOMAIN_PATTERN, name.removeprefix("*."), 253) and not _is_address(host)
    problem = f'Invalid value: "{host}": must be a DNS name, "*." and a DNS name, or an address'
    yield from when(wrong, problem, *path)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def within(host: str, hosts: Iterable[str]) -> bool:
    """Whether a host, or wildcard, falls within one of those."""
    return any(
        pattern in (host, "*") or (pattern.startswith("*.") and host.removeprefix("*").endswith(pattern[1:]))
        for pattern in hosts
    )
