"""Small builders for the messages that appear everywhere in Envoy's configuration."""

import re
from collections.abc import Iterable
from typing import Final

from envoy.config.core.v3 import address_pb2, base_pb2, config_source_pb2, extension_pb2
from envoy.type.matcher.v3 import regex_pb2, string_pb2
from google.protobuf import any_pb2, duration_pb2, wrappers_pb2
from google.protobuf.message import Message

UNLIMITED: Final = 4294967295
"""For circuit breakers, whose defaults (1024, 3 retries) would be limits that nobody asked for."""


def packed(message: Message) -> any_pb2.Any:
    """A message as `Any`, its bytes deterministic."""
    return any_pb2.Any(
        type_url=f"type.googleapis.com/{message.DESCRIPTOR.full_name}",
        value=message.SerializeToString(deterministic=True),
    )


def extension(name: str, config: Message) -> extension_pb2.TypedExtensionConfig:
    """A named extension and its configuration."""
    return extension_pb2.TypedExtensionConfig(name=name, typed_config=packed(config))


def seconds(value: float) -> duration_pb2.Duration:
    """A duration, to the microsecond."""
    whole = round(value * 1_000_000)
    return duration_pb2.Duration(seconds=whole // 1_000_000, nanos=whole % 1_000_000 * 1000)


def to_seconds(duration: duration_pb2.Duration) -> float:
    """A duration message in seconds."""
    return duration.seconds + duration.nanos / 1e9


def true() -> wrappers_pb2.BoolValue:
    """A set boolean."""
    return wrappers_pb2.BoolValue(value=True)


def false() -> wrappers_pb2.BoolValue:
    """A boolean set to false, where unset would mean true."""
    return wrappers_pb2.BoolValue(value=False)


def number(value: int) -> wrappers_pb2.UInt32Value:
    """A set unsigned number."""
    return wrappers_pb2.UInt32Value(value=value)


def wide(value: int) -> wrappers_pb2.UInt64Value:
    """A set 64-bit unsigned number."""
    return wrappers_pb2.UInt64Value(value=value)


def ads() -> config_source_pb2.ConfigSource:
    """The stream that everything comes from."""
    return config_source_pb2.ConfigSource(
        ads=config_source_pb2.AggregatedConfigSource(), resource_api_version=config_source_pb2.V3
    )


def socket_address(address: str, port: int) -> address_pb2.Address:
    """An address and TCP port."""
    return address_pb2.Address(socket_address=address_pb2.SocketAddress(address=address, port_value=port))


def cidr(text: str) -> address_pb2.CidrRange:
    """An address range written `10.0.0.0/8`; a bare address is a range of one."""
    address, _, length = text.partition("/")
    return address_pb2.CidrRange(
        address_prefix=address, prefix_len=number(int(length or (128 if ":" in address else 32)))
    )


def regex(pattern: str) -> regex_pb2.RegexMatcher:
    """An RE2 expression that must match the whole string."""
    return regex_pb2.RegexMatcher(regex=pattern)


def exactly(value: str) -> string_pb2.StringMatcher:
    """A comparison with one string; Envoy refuses an empty `exact`, so the empty string is an expression."""
    return string_pb2.StringMatcher(exact=value) if value else string_pb2.StringMatcher(safe_regex=regex("^$"))


def quoted(text: str) -> str:
    """Text as an RE2 expression that matches just it."""
    return re.escape(text)


def literal(value: str) -> str:
    """A header value that Envoy's substitution format leaves as it is."""
    return value.replace("%", "%%")


def metadata(namespace: str, values: Iterable[tuple[str, str]]) -> base_pb2.Metadata:
    """Metadata with one namespace of strings; empty values are left out."""
    result = base_pb2.Metadata()
    for key, value in values:
        if value:
            result.filter_metadata[namespace].fields[key].string_value = value
    return result
