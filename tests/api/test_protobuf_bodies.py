"""Bodies in Kubernetes' protobuf encoding; that real clients' bodies are read is in test_kubectl."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.api.errors import ApiError
from plait.api.protobuf_bodies import decode


def field(number: int, value: int | str | bytes) -> bytes:
    """One field of a message."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    out = b""
    while value >= 0x80:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def body(kind: str, raw: bytes, *, api_version: str = "v1") -> bytes:
    """The envelope around an object."""
    return b"k8s\x00" + field(1, field(1, api_version) + field(2, kind)) + field(2, raw)


def test_a_service_is_read() -> None:
    """Nested messages, lists, maps, numbers or names of ports; what is empty is left out."""
    port = field(1, "http") + field(2, "") + field(3, 80) + field(4, field(1, 0) + field(2, 8080)) + field(5, 0)
    named = field(3, 81) + field(4, field(1, 1) + field(2, 0) + field(3, "web"))
    entry = field(1, "app") + field(2, "reviews")
    spec = field(1, port) + field(1, named) + field(2, entry) + field(3, "") + field(13, 0) + field(20, 0)
    metadata = field(1, "reviews") + field(7, 0) + field(8, b"") + field(11, entry)

    assert decode(body("Service", field(1, metadata) + field(2, spec) + field(3, b""))) == {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "reviews", "labels": {"app": "reviews"}},
        "spec": {
            "ports": [{"name": "http", "port": 80, "targetPort": 8080}, {"port": 81, "targetPort": "web"}],
            "selector": {"app": "reviews"},
            "allocateLoadBalancerNodePorts": False,
        },
    }


def test_the_bytes_of_a_secret_become_base64() -> None:
    """As in its JSON form."""
    entry = field(1, "key") + field(2, b"\x00\xff")
    assert decode(body("Secret", field(2, entry) + field(3, "Opaque")))["data"] == {"key": "AP8="}


def test_other_kinds_are_unsupported() -> None:
    """A kind that is not read in this encoding says so by its status."""
    with pytest.raises(
        ApiError, match="apps/v1 Deployment is not read as protobuf here; send application/json"
    ) as refused:
        decode(body("Deployment", b"", api_version="apps/v1"))
    assert refused.value.status == 415


@given(st.binary(max_size=60), st.sampled_from(["", "Service", "DeleteOptions"]))
def test_rubbish_is_refused(data: bytes, kind: str) -> None:
    """Whatever bytes come, the answer is an object or a refusal."""
    whole: Any = body(kind, data) if kind else b"k8s\x00" + data
    with contextlib.suppress(ApiError):
        assert isinstance(decode(whole), dict)
