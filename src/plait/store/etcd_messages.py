"""The part of etcd's protocol (v3) that the store speaks, as protobuf message classes.

Numbers and names are those of etcd's API: https://etcd.io/docs/v3.5/dev-guide/api_reference_v3/
They are declared here rather than taken from a client library, so that nothing but protobuf and gRPC is needed.
"""

from collections.abc import Mapping
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_PACKAGE: Final = "plait.etcd"
_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS: Final[Mapping[str, Any]] = {
    "bytes": _Field.TYPE_BYTES,
    "string": _Field.TYPE_STRING,
    "bool": _Field.TYPE_BOOL,
    "int64": _Field.TYPE_INT64,
    "uint64": _Field.TYPE_UINT64,
    "enum": _Field.TYPE_INT32,  # enumerations are plain numbers on the wire
}

EQUAL, GREATER, LESS = 0, 1, 2
"""Compare.result."""
MOD, CREATE = 2, 1
"""Compare.target: the revision of the last change, of the creation."""
PUT, DELETE = 0, 1
"""Event.type."""

_MESSAGES: Final[Mapping[str, str]] = {
    "KeyValue": "1 key bytes, 2 create_revision int64, 3 mod_revision int64, 5 value bytes, 6 lease int64",
    "Event": "1 type enum, 2 kv KeyValue",
    "Header": "1 cluster_id uint64, 3 revision int64",
    "RangeRequest": "1 key bytes, 2 range_end bytes, 3 limit int64, 4 revision int64, 5 sort_order enum,"
    " 6 sort_target enum, 8 keys_only bool",
    "RangeResponse": "1 header Header, 2 kvs *KeyValue, 3 more bool",
    "PutRequest": "1 key bytes, 2 value bytes, 3 lease int64",
    "PutResponse": "1 header Header",
    "DeleteRangeRequest": "1 key bytes, 2 range_end bytes",
    "DeleteRangeResponse": "1 header Header, 2 deleted int64",
    "RequestOp": "1 request_range |RangeRequest, 2 request_put |PutRequest,"
    " 3 request_delete_range |DeleteRangeRequest, 4 request_txn |TxnRequest",
    "ResponseOp": "1 response_range |RangeResponse, 2 response_put |PutResponse,"
    " 3 response_delete_range |DeleteRangeResponse, 4 response_txn |TxnResponse",
    "Compare": "1 result enum, 2 target enum, 3 key bytes, 5 create_revision |int64, 6 mod_revision |int64,"
    " 64 range_end bytes",
    "TxnRequest": "1 compare *Compare, 2 success *RequestOp, 3 failure *RequestOp",
    "TxnResponse": "1 header Header, 2 succeeded bool, 3 responses *ResponseOp",
    "WatchCreateRequest": "1 key bytes, 2 range_end bytes, 3 start_revision int64",
    "WatchRequest": "1 create_request |WatchCreateRequest",
    "WatchResponse": "1 header Header, 3 created bool, 4 canceled bool, 5 compact_revision int64,"
    " 6 cancel_reason string, 11 events *Event",
    "LeaseGrantRequest": "1 TTL int64, 2 ID int64",
    "LeaseGrantResponse": "1 header Header, 2 ID int64, 3 TTL int64, 4 error string",
    "LeaseRevokeRequest": "1 ID int64",
    "LeaseRevokeResponse": "1 header Header",
    "LeaseKeepAliveRequest": "1 ID int64",
    "LeaseKeepAliveResponse": "1 header Header, 2 ID int64, 3 TTL int64",
    "CompactionRequest": "1 revision int64, 2 physical bool",
    "CompactionResponse": "1 header Header",
}
"""By message its fields: number, name and type; `*` repeats, `|` is one of several of which one is set."""


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="plait/etcd.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        if "|" in fields:
            message.oneof_decl.add(name="one")
        for field in fields.split(","):
            _declare(message, *field.split())
    return file


def _declare(message: descriptor_pb2.DescriptorProto, number: str, name: str, kind: str) -> None:
    plain = kind.lstrip("*|")
    label = _Field.LABEL_REPEATED if kind.startswith("*") else _Field.LABEL_OPTIONAL
    field = message.field.add(name=name, number=int(number), label=label)
    if kind.startswith("|"):
        field.oneof_index = 0
    if plain in _SCALARS:
        field.type = _SCALARS[plain]
    else:
        field.type, field.type_name = _Field.TYPE_MESSAGE, f".{_PACKAGE}.{plain}"


def _classes() -> Mapping[str, Any]:
    pool = descriptor_pool.DescriptorPool()
    pool.Add(_file())
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _MESSAGES
    }


MESSAGES: Final = _classes()
"""The classes by name."""


def message(name: str, **fields: Any) -> Any:
    """A new message."""
    return MESSAGES[name](**fields)


def after(prefix: bytes) -> bytes:
    """The first key that does not begin with a prefix: the end of the range of those that do."""
    return prefix[:-1] + bytes([prefix[-1] + 1])
