"""Bodies in Kubernetes' protobuf encoding, as newer clients send for the kinds of the core group.

The encoding is not negotiated: such a client sends protobuf and gives up on 415. The kinds of a mesh that they
know are read here, from their field numbers; answers are always JSON, which every client reads. Go writes also
fields that are empty; they are left out, as they are in its JSON.
https://github.com/kubernetes/api/blob/master/core/v1/generated.proto
"""

import base64
import re
from collections.abc import Iterator, Mapping
from typing import Any

from plait.api.errors import ApiError

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\x00"

_FIELDS = """
Unknown: 1=typeMeta:TypeMeta 2=raw:bytes
TypeMeta: 1=apiVersion 2=kind
ObjectMeta: 1=name 2=generateName 3=namespace 5=uid 6=resourceVersion 11=labels{} 12=annotations{}
            13=ownerReferences*:OwnerReference 14=finalizers*
OwnerReference: 1=kind 3=name 4=uid 5=apiVersion 6=controller:bool? 7=blockOwnerDeletion:bool?
Namespace: 1=metadata:ObjectMeta 2=spec:NamespaceSpec
NamespaceSpec: 1=finalizers*
ConfigMap: 1=metadata:ObjectMeta 2=data{} 3=binaryData{}:bytes 4=immutable:bool?
Secret: 1=metadata:ObjectMeta 2=data{}:bytes 3=type 4=stringData{} 5=immutable:bool?
ServiceAccount: 1=metadata:ObjectMeta 2=secrets*:ObjectReference 3=imagePullSecrets*:LocalObjectReference
                4=automountServiceAccountToken:bool?
ObjectReference: 1=kind 2=namespace 3=name 4=uid 5=apiVersion 6=resourceVersion 7=fieldPath
LocalObjectReference: 1=name
Service: 1=metadata:ObjectMeta 2=spec:ServiceSpec
ServiceSpec: 1=ports*:ServicePort 2=selector{} 3=clusterIP 4=type 5=externalIPs* 7=sessionAffinity 8=loadBalancerIP
             9=loadBalancerSourceRanges* 10=externalName 11=externalTrafficPolicy 12=healthCheckNodePort:int
             13=publishNotReadyAddresses:bool 17=ipFamilyPolicy 18=clusterIPs* 19=ipFamilies*
             20=allocateLoadBalancerNodePorts:bool? 21=loadBalancerClass 22=internalTrafficPolicy
             23=trafficDistribution
ServicePort: 1=name 2=protocol 3=port:int 4=targetPort:IntOrString 5=nodePort:int 6=appProtocol
IntOrString: 1=type:int 2=intVal:int 3=strVal
DeleteOptions: 1=gracePeriodSeconds:int? 2=preconditions:Preconditions 4=propagationPolicy 5=dryRun*
Preconditions: 1=uid 2=resourceVersion
"""
_FIELD = re.compile(r"(?P<number>\d+)=(?P<name>\w+)(?P<many>\*|\{\})?:?(?P<type>\w*)(?P<kept>\??)")
_MESSAGES: Mapping[str, Mapping[int, re.Match[str]]] = {
    name: {int(field["number"]): field for field in _FIELD.finditer(fields)}
    for name, fields in re.findall(r"^(\w+):((?:.|\n )*)$", _FIELDS, re.MULTILINE)
}
_KINDS = frozenset({"Namespace", "ConfigMap", "Secret", "ServiceAccount", "Service"})


class _MalformedError(ValueError):
    """The bytes are not what they should be."""


def decode(body: bytes) -> dict[str, Any]:
    """The object in a body; ApiError 415 for kinds that are not read in this encoding, 400 for what is none."""
    if not body.startswith(_MAGIC):
        raise ApiError(400, "the body is not in Kubernetes' protobuf encoding")
    try:
        envelope = _message(body[len(_MAGIC) :], "Unknown")
        names = envelope.get("typeMeta", {})
        api_version, kind = names.get("apiVersion", ""), names.get("kind", "")
        if kind != "DeleteOptions" and (api_version, kind in _KINDS) != ("v1", True):
            raise ApiError(415, f"{api_version} {kind} is not read as protobuf here", "send application/json")
        document = _message(base64.b64decode(envelope.get("raw", "")), kind)
    except (ValueError, IndexError) as error:
        raise ApiError(400, f"the body is not in Kubernetes' protobuf encoding: {error}") from None
    return {"apiVersion": api_version, "kind": kind, **document}


def _message(data: bytes, name: str) -> dict[str, Any]:
    fields = _MESSAGES[name]
    value: dict[str, Any] = {}
    for number, raw in _wire(data):
        field = fields.get(number)
        if field is None:
            continue
        if field["many"] == "*":
            value.setdefault(field["name"], []).append(_value(raw, field["type"]))
        elif field["many"]:
            key, part = _entry(raw, field["type"])
            value.setdefault(field["name"], {})[key] = part
        else:
            decoded = _value(raw, field["type"])
            if field["kept"] or decoded not in ("", 0, {}, None):
                value[field["name"]] = decoded
    return value


def _value(raw: int | bytes, kind: str) -> Any:
    if isinstance(raw, int):
        if kind not in ("int", "bool"):
            raise _MalformedError("a number where text was expected")
        return bool(raw) if kind == "bool" else _signed(raw)
    if kind == "":
        return raw.decode()
    if kind == "bytes":
        return base64.b64encode(raw).decode()
    if kind == "IntOrString":
        parts = _message(raw, kind)
        return parts.get("strVal", "") if parts.get("type") else parts.get("intVal", 0)
    if kind not in _MESSAGES:
        raise _MalformedError("text where a number was expected")
    return _message(raw, kind)


def _entry(raw: int | bytes, kind: str) -> tuple[str, Any]:
    if isinstance(raw, int):
        raise _MalformedError("a number where a map entry was expected")
    parts = dict(_wire(raw))
    return _value(parts.get(1, b""), ""), _value(parts.get(2, b""), kind)


def _signed(number: int) -> int:
    return number - (1 << 64) if number >= 1 << 63 else number


def _wire(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message: numbers as they are, everything of a length as bytes."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == 0:
            value, position = _varint(data, position)
            yield number, value
            continue
        if wire_type == 2:
            length, position = _varint(data, position)
        elif wire_type in (1, 5):
            length = 8 if wire_type == 1 else 4
        else:
            raise _MalformedError(f"wire type {wire_type}")
        if position + length > len(data):
            raise _MalformedError("it ends too early")
        yield number, data[position : position + length]
        position += length


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise _MalformedError("a number is too long")
