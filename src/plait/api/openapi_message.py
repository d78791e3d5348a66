"""An OpenAPI v2 document as the protobuf message `openapi.v2.Document` of google/gnostic.

The descriptor is built here, from the part of gnostic's `OpenAPIv2.proto` that a Kubernetes-shaped document uses, in
a pool of its own so that it meets no other. Values of any type travel as YAML text (JSON is YAML).
https://github.com/google/gnostic-models/blob/main/openapiv2/OpenAPIv2.proto
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from plait.api.shapes import is_list

_FIELDS = """
Any: yaml=2
NamedAny: name=1 value=2:Any
NamedSchema: name=1 value=2:Schema
NamedPathItem: name=1 value=2:PathItem
NamedResponseValue: name=1 value=2:ResponseValue
AdditionalPropertiesItem: schema=1:Schema boolean=2:bool
TypeItem: value=1*
ItemsItem: schema=1*:Schema
Properties: additional_properties=1*:NamedSchema
Definitions: additional_properties=1*:NamedSchema
Schema: _ref=1 format=2 title=3 description=4 default=5:Any maximum=7:double minimum=9:double max_length=11:int64
        min_length=12:int64 pattern=13 max_items=14:int64 min_items=15:int64 unique_items=16:bool required=19*
        enum=20*:Any additional_properties=21:AdditionalPropertiesItem type=22:TypeItem items=23:ItemsItem
        properties=25:Properties vendor_extension=31*:NamedAny
SchemaItem: schema=1:Schema
BodyParameter: description=1 name=2 in=3 required=4:bool schema=5:Schema
QueryParameterSubSchema: required=1:bool in=2 description=3 name=4 type=6
PathParameterSubSchema: required=1:bool in=2 description=3 name=4 type=5
NonBodyParameter: query_parameter_sub_schema=3:QueryParameterSubSchema
                  path_parameter_sub_schema=4:PathParameterSubSchema
Parameter: body_parameter=1:BodyParameter non_body_parameter=2:NonBodyParameter
ParametersItem: parameter=1:Parameter
Response: description=1 schema=2:SchemaItem
ResponseValue: response=1:Response
Responses: response_code=1*:NamedResponseValue
Operation: operation_id=5 produces=6* consumes=7* parameters=8*:ParametersItem responses=9:Responses
           vendor_extension=13*:NamedAny
PathItem: get=2:Operation put=3:Operation post=4:Operation delete=5:Operation patch=8:Operation
          parameters=9*:ParametersItem
Paths: path=2*:NamedPathItem
Info: title=1 version=2
Document: swagger=1 info=2:Info paths=8:Paths definitions=9:Definitions
"""
_ONE_OF = frozenset({"AdditionalPropertiesItem", "NonBodyParameter", "Parameter", "ParametersItem", "ResponseValue"})
_TYPES = {"": "TYPE_STRING", "bool": "TYPE_BOOL", "double": "TYPE_DOUBLE", "int64": "TYPE_INT64"}


def encode(document: Mapping[str, Any]) -> bytes:
    """The document as a serialized message."""
    message = new_document()
    message.swagger = document["swagger"]
    _plain(message.info, document["info"])
    for path, item in document["paths"].items():
        _write_path(message.paths.path.add(name=path).value, item)
    for name, schema in document["definitions"].items():
        _write_schema(message.definitions.additional_properties.add(name=name).value, schema)
    return message.SerializeToString(deterministic=True)


def new_document() -> Any:
    """An empty `openapi.v2.Document`."""
    pool = descriptor_pool.DescriptorPool()
    pool.Add(_file())  # pyright: ignore[reportUnknownMemberType]
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("openapi.v2.Document"))()


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="openapiv2/OpenAPIv2.proto", package="openapi.v2", syntax="proto3")
    for name, fields in re.findall(r"^(\w+):((?:.|\n )*)$", _FIELDS, re.MULTILINE):
        message = file.message_type.add(name=name)
        if name in _ONE_OF:
            message.oneof_decl.add(name="oneof")
        for field in fields.split():
            _add_field(message, field, in_one_of=name in _ONE_OF)
    return file


def _add_field(message: descriptor_pb2.DescriptorProto, text: str, *, in_one_of: bool) -> None:
    match = re.fullmatch(r"(?P<name>\w+)=(?P<number>\d+)(?P<repeated>\*?):?(?P<type>\w*)", text)
    if match is None:
        raise ValueError(f"not a field: {text}")
    field = message.field.add(name=match["name"], number=int(match["number"]))
    label = "LABEL_REPEATED" if match["repeated"] else "LABEL_OPTIONAL"
    field.label = descriptor_pb2.FieldDescriptorProto.Label.Value(label)
    field.type = descriptor_pb2.FieldDescriptorProto.Type.Value(_TYPES.get(match["type"], "TYPE_MESSAGE"))
    if match["type"] not in _TYPES:
        field.type_name = f".openapi.v2.{match['type']}"
    if in_one_of:
        field.oneof_index = 0


def _write_path(message: Any, item: Mapping[str, Any]) -> None:
    for name, part in item.items():
        if name == "parameters":
            _write_parameters(message, part)
        else:
            _write_operation(getattr(message, name), part)


def _write_operation(message: Any, operation: Mapping[str, Any]) -> None:
    message.operation_id = operation["operationId"]
    message.produces.extend(operation.get("produces", ()))
    message.consumes.extend(operation.get("consumes", ()))
    _write_parameters(message, operation.get("parameters", ()))
    for code, response in operation["responses"].items():
        value = message.responses.response_code.add(name=code).value.response
        value.description = response["description"]
        _write_schema(value.schema.schema, response["schema"])
    _write_extensions(message, operation)


def _write_parameters(message: Any, parameters: Any) -> None:
    for parameter in parameters:
        added = message.parameters.add().parameter
        plain = {key: value for key, value in parameter.items() if key != "schema"}
        if parameter["in"] == "body":
            _plain(added.body_parameter, plain)
            _write_schema(added.body_parameter.schema, parameter["schema"])
        else:
            _plain(getattr(added.non_body_parameter, f"{parameter['in']}_parameter_sub_schema"), plain)


def _write_schema(message: Any, schema: Mapping[str, Any]) -> None:
    message.SetInParent()
    for key, value in schema.items():
        if key in _PARTS:
            _PARTS[key](message, value)
        elif not key.startswith("x-"):
            _plain(message, {re.sub("([A-Z])", lambda match: "_" + match[1].lower(), key): value})
    _write_extensions(message, schema)


def _plain(message: Any, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if is_list(value):
            getattr(message, name).extend(value)
        else:
            setattr(message, name, value)


def _write_extensions(message: Any, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if name.startswith("x-"):
            message.vendor_extension.add(name=name).value.yaml = json.dumps(value)


def _write_properties(message: Any, properties: Mapping[str, Any]) -> None:
    for name, schema in properties.items():
        _write_schema(message.properties.additional_properties.add(name=name).value, schema)


def _write_enum(message: Any, values: list[Any]) -> None:
    for value in values:
        message.enum.add(yaml=json.dumps(value))


_PARTS: Mapping[str, Callable[[Any, Any], None]] = {
    "$ref": lambda message, value: setattr(message, "_ref", value),
    "type": lambda message, value: message.type.value.append(value),
    "items": lambda message, value: _write_schema(message.items.schema.add(), value),
    "properties": _write_properties,
    "additionalProperties": lambda message, value: _write_schema(message.additional_properties.schema, value),
    "enum": _write_enum,
}
