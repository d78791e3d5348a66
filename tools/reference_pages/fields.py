"""The fields of a JSON schema as Markdown tables: one table for every object type, linked from where it is used."""

from collections.abc import Iterator, Mapping
from typing import Any

from reference_pages.markdown import anchor, code, table

Schema = Mapping[str, Any]
_LIMITS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "exclusiveMinimum": "more than {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "minProperties": "at least {} entries",
    "maxProperties": "at most {} entries",
}
_COMMON = frozenset({"ObjectMeta", "OwnerReference"})


def sections(schema: Schema, *, leave_out: frozenset[str] = _COMMON) -> Iterator[str]:
    """The table of the schema itself, then one section for every type that it refers to, in order of first use."""
    known: Mapping[str, Schema] = schema.get("$defs", {})
    yield fields_table(schema)
    seen: list[str] = []
    _collect(schema.get("properties", schema.get("items", {})), known, seen)
    for name in seen:
        if name not in leave_out:
            described = known[name].get("description", "").strip()
            yield f"### {name}\n\n{described}".rstrip()
            yield fields_table(known[name])


def _collect(value: object, known: Mapping[str, Schema], seen: list[str]) -> None:
    if isinstance(value, Mapping):
        reference = value.get("$ref")
        name = str(reference).rpartition("/")[2] if reference else ""
        if name in known and name not in seen:
            seen.append(name)
            _collect(known[name].get("properties", {}), known, seen)
        for item in value.values():
            _collect(item, known, seen)
    elif isinstance(value, list):
        for item in value:
            _collect(item, known, seen)


def fields_table(schema: Schema) -> str:
    """The table of an object's fields."""
    properties: Mapping[str, Schema] = schema.get("properties", {})
    if not properties:
        values = schema.get("enum")
        return f"One of {', '.join(code(value) for value in values)}." if values else ""
    required = set(schema.get("required", ()))
    rows = [[code(name), _type_cell(field), _meaning(field, name in required)] for name, field in properties.items()]
    return table(("Field", "Type", "Meaning"), rows)


def _type_cell(field: Schema) -> str:
    limits = [text.format(_core(field)[name]) for name, text in _LIMITS.items() if name in _core(field)]
    return ", ".join([type_name(field), *limits])


def _core(field: Schema) -> Schema:
    """The field without its `or null`."""
    options = [option for option in field.get("anyOf", ()) if option.get("type") != "null"]
    return options[0] if len(options) == 1 else field


def type_name(field: Schema) -> str:
    """A field's type as a person reads it."""
    core = _core(field)
    if "$ref" in core:
        name = str(core["$ref"]).rpartition("/")[2]
        return name if name in _COMMON else f"[{name}](#{anchor(name)})"
    if "enum" in core:
        return "one of " + ", ".join(code(value or '""') for value in core["enum"])
    if "const" in core:
        return code(core["const"])
    if "anyOf" in core:
        return " or ".join(type_name(option) for option in core["anyOf"])
    return _plain(core)


def _plain(core: Schema) -> str:
    kind = core.get("type")
    if kind == "array":
        return f"list of {type_name(core.get('items', {}))}"
    if kind == "object":
        extra = core.get("additionalProperties")
        return f"map of {type_name(extra)}" if isinstance(extra, Mapping) and extra else "map"
    return {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}.get(
        str(kind), "anything"
    )


def _meaning(field: Schema, required: bool) -> str:
    text = str(field.get("description", ""))
    if required:
        return f"{text} **Required.**"
    default = field.get("default")
    return (
        f"{text} Default: {code(default)}." if default not in (None, "", [], {}, False) and _simple(default) else text
    )


def _simple(value: object) -> bool:
    return isinstance(value, (str, int, float))
