"""The OpenAPI document: whole, the same in both encodings, and marked as kubectl needs it."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from plait.api.openapi import document
from plait.api.openapi_message import encode, new_document
from plait.api.shapes import is_map
from plait.resources import registry
from tests.api.calling import Api


@pytest.fixture(scope="module")
def openapi() -> dict[str, Any]:
    """The document."""
    return document()


def test_every_kind_has_its_paths(openapi: dict[str, Any]) -> None:
    """Kinds with a model have a definition, the others only paths; all PATCHes know dryRun."""
    for kind in registry.KINDS:
        for version in kind.versions:
            prefix = f"/apis/{kind.group}/{version}" if kind.group else f"/api/{version}"
            scope = "/namespaces/{namespace}" if kind.namespaced else ""
            patch = openapi["paths"][f"{prefix}{scope}/{kind.plural}/{{name}}"]["patch"]
            assert "dryRun" in [parameter["name"] for parameter in patch["parameters"]]
            wanted = {"group": kind.group, "version": version, "kind": kind.kind}
            assert patch["x-kubernetes-group-version-kind"] == wanted
            marked = [
                name
                for name, schema in openapi["definitions"].items()
                if wanted in schema.get("x-kubernetes-group-version-kind", [])
            ]
            assert len(marked) == (1 if kind.model else 0)


def test_every_reference_leads_somewhere(openapi: dict[str, Any]) -> None:
    """No definition is named that is not there, and operation ids are unique."""
    text = json.dumps(openapi)
    assert set(re.findall(r'"#/definitions/([^"]+)"', text)) <= openapi["definitions"].keys()
    ids = re.findall(r'"operationId": "([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert "$defs" not in text
    assert "anyOf" not in text


def test_lists_that_merge_are_marked(openapi: dict[str, Any]) -> None:
    """kubectl computes its patches by the same keys as the server merges by."""
    ports = openapi["definitions"]["io.k8s.api.core.v1.Service.ServiceSpec"]["properties"]["ports"]
    assert ports["x-kubernetes-patch-merge-key"] == "port"
    assert ports["x-kubernetes-list-map-keys"] == ["port", "protocol"]
    found = [name for name in openapi["definitions"] if name.endswith(".v1.Gateway.GatewaySpec")]
    (gateway,) = (name for name in found if "gateway" in name.partition(".v1.")[0])
    assert openapi["definitions"][gateway]["properties"]["listeners"]["x-kubernetes-list-map-keys"] == ["name"]
    target = openapi["definitions"]["io.k8s.api.core.v1.Service.ServicePort"]["properties"]["targetPort"]
    assert (target["type"], target["format"]) == ("string", "int-or-string")


def test_both_encodings_say_the_same(openapi: dict[str, Any]) -> None:
    """What is in the JSON comes out of the protobuf message."""
    message = new_document()
    message.ParseFromString(encode(openapi))

    assert [item.name for item in message.paths.path] == list(openapi["paths"])
    assert [item.name for item in message.definitions.additional_properties] == list(openapi["definitions"])
    for item in message.definitions.additional_properties:
        assert _schema(item.value) == _without_zeros(openapi["definitions"][item.name])


def _without_zeros(value: Any) -> Any:
    """The schema without limits of 0, which proto3 does not tell from none."""
    if is_map(value):
        return {key: _without_zeros(part) for key, part in value.items() if part != 0}
    return value


def _schema(message: Any) -> dict[str, Any]:
    """A schema read back from its message, independently of how it was written."""
    value: dict[str, Any] = {"$ref": message._ref} if message._ref else {}
    for field, content in message.ListFields():
        read = _READ.get(field.name)
        if field.name == "vendor_extension":
            value.update({item.name: json.loads(item.value.yaml) for item in content})
        elif field.name != "_ref":
            name = re.sub("_([a-z])", lambda match: match[1].upper(), field.name)
            value[name] = read(content) if read else content
    return value


_READ: dict[str, Callable[[Any], Any]] = {
    "type": lambda content: content.value[0],
    "items": lambda content: _schema(content.schema[0]),
    "properties": lambda content: {item.name: _schema(item.value) for item in content.additional_properties},
    "additional_properties": lambda content: _schema(content.schema),
    "enum": lambda content: [json.loads(item.yaml) for item in content],
    "required": list,
}


def test_clients_choose_the_encoding(api: Api) -> None:
    """JSON unless protobuf is asked for; its media type is one that Go can read."""
    as_json = api.get("/openapi/v2")
    accept = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
    as_protobuf = api.get("/openapi/v2", headers={"accept": accept})

    assert as_json.json()["swagger"] == "2.0"
    assert as_protobuf.headers["content-type"] == accept.replace("@", ".")
    message = new_document()
    message.ParseFromString(as_protobuf.content)
    assert message.info.title == "Plait"


def test_our_own_half_is_described(api: Api) -> None:
    """The views of /plait/v1 have schemas with a sentence for each field."""
    described = api.get("/plait/v1/openapi").json()
    assert "/plait/v1/why" in described["paths"]
    workload = described["components"]["schemas"]["Workload"]
    assert all(part.get("description") for part in workload["properties"].values())
