"""From the models of kinds to OpenAPI v2 definitions, as Kubernetes names and marks them.

OpenAPI v2 knows no `anyOf` and no null: an optional field is just not required, a value that may be a number or a
string is marked as Kubernetes does (`int-or-string`), any other choice is left open.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from plait.api.kinds import Served
from plait.api.list_types import ListType, list_types
from plait.api.shapes import is_map

_META = "io.k8s.apimachinery.pkg.apis.meta.v1"
_SHARED = frozenset({"ObjectMeta", "OwnerReference", "LabelSelector", "LabelSelectorRequirement"})
_KEPT = (
    *("description", "format", "pattern", "minimum", "maximum", "minLength", "maxLength"),
    *("minItems", "maxItems", "uniqueItems", "enum", "required"),
)
_REF = "#/definitions/"


def definition_name(served: Served) -> str:
    """The name of a kind's definition: `io.k8s.api.core.v1.Service`, `io.istio.networking.v1.WorkloadEntry`."""
    group = served.kind.group
    parts = group.removesuffix(".k8s.io").split(".")
    if not group:
        prefix = "io.k8s.api.core"
    elif len(parts) == 1:
        prefix = f"io.k8s.api.{parts[0]}"
    else:
        prefix = ".".join(reversed(group.split(".")))
    return f"{prefix}.{served.version}.{served.kind.kind}"


def definitions(kinds: Sequence[Served]) -> dict[str, Any]:
    """The definitions of all kinds that have a model, with the parts that they are made of."""
    found: dict[str, Any] = {}
    for served in kinds:
        if served.kind.model is not None:
            found.update(_definitions_of(served))
    return dict(sorted(found.items()))


def _definitions_of(served: Served) -> dict[str, Any]:
    top = definition_name(served)
    schema: dict[str, Any] = served.kind.model.model_json_schema(by_alias=True) if served.kind.model else {}
    parts: Mapping[str, Any] = schema.get("$defs", {})
    names = {f"#/$defs/{part}": f"{_META}.{part}" if part in _SHARED else f"{top}.{part}" for part in parts}
    found = {names[f"#/$defs/{part}"]: _converted(content, names) for part, content in parts.items()}
    found[top] = _converted(schema, names)
    found[top]["x-kubernetes-group-version-kind"] = [
        {"group": served.kind.group, "version": served.version, "kind": served.kind.kind}
    ]
    for path, list_type in list_types(served.kind.group, served.kind.kind).items():
        _mark(found, found[top], path, list_type)
    return found


def _converted(schema: Any, names: Mapping[str, str]) -> dict[str, Any]:
    if not is_map(schema):
        return {}
    chosen = _chosen(schema)
    if reference := schema.get("$ref"):
        converted = {"$ref": _REF + names[reference]}
    elif chosen is not schema:
        converted = _converted(chosen, names)
    else:
        return _converted_plain(schema, names)
    return {**converted, **({"description": schema["description"]} if "description" in schema else {})}


def _converted_plain(schema: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    converted = {key: schema[key] for key in _KEPT if key in schema}
    if "const" in schema:
        converted["enum"] = [schema["const"]]
    if isinstance(schema.get("type"), str):
        converted["type"] = schema["type"]
    if schema.get("type") == "array":
        converted["items"] = _converted(schema.get("items"), names)
    if properties := schema.get("properties"):
        converted["properties"] = {name: _converted(part, names) for name, part in properties.items()}
    elif is_map(schema.get("additionalProperties")):
        converted["additionalProperties"] = _converted(schema["additionalProperties"], names)
    return converted


def _chosen(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a choice of schemas becomes: its only part beside null, int-or-string, or anything."""
    if len(schema.get("allOf", ())) == 1:
        return schema["allOf"][0]
    choices = schema.get("anyOf") or schema.get("oneOf")
    if not choices:
        return schema
    choices = [choice for choice in choices if choice.get("type") != "null"]
    if len(choices) == 1:
        return choices[0]
    if {choice.get("type") for choice in choices} == {"integer", "string"}:
        return {"type": "string", "format": "int-or-string"}
    return {}


def _mark(found: Mapping[str, Any], schema: Any, path: tuple[str, ...], list_type: ListType) -> None:
    """Write into the schema how the list at a path merges, if the schema goes that far."""
    for name in path[:-1]:
        schema = _resolved(found, _resolved(found, schema).get("properties", {}).get(name, {}))
        schema = _resolved(found, schema["items"]) if "items" in schema else schema
    marked = schema.get("properties", {}).get(path[-1])
    if marked is None or marked.get("type") != "array":
        return
    marked["x-kubernetes-patch-strategy"] = "merge"
    if list_type.merge_key:
        marked["x-kubernetes-patch-merge-key"] = list_type.merge_key
    marked["x-kubernetes-list-type"] = "map" if list_type.keys else "set"
    if list_type.keys:
        marked["x-kubernetes-list-map-keys"] = list(list_type.keys)


def _resolved(found: Mapping[str, Any], schema: Mapping[str, Any]) -> Any:
    reference = schema.get("$ref", "")
    return found[reference.removeprefix(_REF)] if reference else schema
