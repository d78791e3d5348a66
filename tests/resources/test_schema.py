"""The models feed OpenAPI and the reference pages."""

from typing import Any

import jsonschema
import pytest

from plait.resources import registry
from plait.resources.kind import Kind
from plait.resources.schema import camel_case
from tests.resources.documents import http_route, service

OLD_NAMES = ("mirror_percent", "jwks_uri")
"""Fields that Istio still takes by names from before its JSON names."""
MODELS = [kind for kind in registry.KINDS if kind.model is not None]


def _schema(kind: Kind) -> dict[str, Any]:
    assert kind.model is not None
    return kind.model.model_json_schema(by_alias=True)


@pytest.mark.parametrize("kind", MODELS, ids=str)
def test_every_field_is_described(kind: Kind):
    """Every model and every field has a description, and JSON names are camelCase."""
    schema = _schema(kind)
    for name, part in {kind.kind: schema, **schema.get("$defs", {})}.items():
        if "properties" not in part:
            continue
        assert part.get("description"), name
        for field, value in part["properties"].items():
            assert value.get("description"), f"{name}.{field}"
            assert "_" not in field or field in OLD_NAMES


@pytest.mark.parametrize("kind", MODELS, ids=str)
def test_schemas_are_valid(kind: Kind):
    """What the models give is JSON Schema."""
    jsonschema.Draft202012Validator.check_schema(_schema(kind))


def test_schemas_accept_what_is_right():
    """A right object is valid by its schema, a wrong type is not."""
    route, services = registry.find("HTTPRoute"), registry.find("Service")
    assert route is not None
    assert services is not None
    jsonschema.validate(http_route(rules=[{"backendRefs": [{"name": "a", "port": 80}]}]), _schema(route))
    jsonschema.validate(service(ports=[{"port": 80, "targetPort": "http"}]), _schema(services))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(http_route(rules=3), _schema(route))


def test_json_names():
    """Field names become JSON names."""
    assert [camel_case(name) for name in ("parent_refs", "from_", "name")] == ["parentRefs", "from", "name"]
