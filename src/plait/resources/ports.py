"""A field that holds a port's number or its name (Kubernetes' IntOrString)."""

from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError


def _number_or_name(value: Any) -> int | str:
    if isinstance(value, int) and not isinstance(value, bool):
        if not 1 <= value <= 65535:
            raise PydanticCustomError("port_range", "must be between 1 and 65535, inclusive")
        return value
    if isinstance(value, str):
        if not value or len(value) > 15 or not any(character.isalpha() for character in value):
            raise PydanticCustomError("port_name", "must be a port's number, or its name of at most 15 characters")
        return value
    raise PydanticCustomError("port_type", "must be a port's number or name")


PortOrName = Annotated[
    int | str,
    BeforeValidator(_number_or_name),
    WithJsonSchema({"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]}),
]
