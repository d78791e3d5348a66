"""Words for pydantic's errors, in the manner of Kubernetes' API server, with the nearest name where one is close."""

import types
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from plait.resources import paths
from plait.resources.formats import SAYINGS
from plait.resources.schema import Model
from plait.resources.values import as_array, as_object, type_name

_EXPECTED = {
    "string_type": "string",
    "int_type": "integer",
    "int_from_float": "integer",
    "bool_type": "boolean",
    "float_type": "number",
    "tuple_type": "array",
    "dict_type": "object",
    "model_type": "object",
    "model_attributes_type": "object",
}


def word(error: ErrorDetails, model: type[Model]) -> tuple[str, str]:
    """Problem and remedy of an error; values that a model hides are not shown."""
    kind, value, context = error["type"], error.get("input"), error.get("ctx", {})
    if kind in _EXPECTED and _is_hidden(error["loc"], model):
        return f"must be of type {_EXPECTED[kind]}, not {type_name(value)}", ""
    if kind in _EXPECTED:
        problem, remedy = _wrong_type(_EXPECTED[kind], value)
        return problem, _with_unit(error["loc"], value, model) or remedy
    if kind == "extra_forbidden":
        return _unknown_field(error["loc"], model)
    special = _SPECIAL.get(kind)
    if special is not None:
        return special(value, context)
    return f"{_invalid(value)}{error['msg']}", ""


def _missing(_value: Any, _context: Mapping[str, Any]) -> tuple[str, str]:
    return "Required value", ""


def _pattern(value: Any, context: Mapping[str, Any]) -> tuple[str, str]:
    pattern = context["pattern"]
    return f"{_invalid(value)}{SAYINGS.get(pattern, f'must match {pattern}')}", ""


def _literal(value: Any, context: Mapping[str, Any]) -> tuple[str, str]:
    supported = str(context["expected"]).replace(" or ", ", ").replace("'", '"')
    names = [name.strip('" ') for name in supported.split(",")]
    near = paths.nearest(value, names) if isinstance(value, str) else ""
    folded = {name.lower(): name for name in names}
    near = folded.get(str(value).lower(), near)
    return f"Unsupported value: {show(value)}: supported values: {supported}", f'did you mean "{near}"?' if near else ""


def _limit(words: str, key: str) -> Callable[[Any, Mapping[str, Any]], tuple[str, str]]:
    def worded(value: Any, context: Mapping[str, Any]) -> tuple[str, str]:
        limit = context[key]
        shown = int(limit) if float(limit).is_integer() else limit
        return f"{_invalid(value)}{words.format(shown)}", ""

    return worded


def _too_many(value: Any, context: Mapping[str, Any]) -> tuple[str, str]:
    items = as_object(value) or as_array(value)
    count = len(items) if items is not None else context.get("actual_length")
    return f"Too many: {count}: must have at most {context['max_length']} items", ""


def _too_few(_value: Any, context: Mapping[str, Any]) -> tuple[str, str]:
    count = context["min_length"]
    return f"Invalid value: should have at least {count} item{'s' if count > 1 else ''}", ""


_SPECIAL: dict[str, Callable[[Any, Mapping[str, Any]], tuple[str, str]]] = {
    "missing": _missing,
    "string_pattern_mismatch": _pattern,
    "literal_error": _literal,
    "string_too_long": _limit("may not be longer than {}", "max_length"),
    "string_too_short": _limit("should be at least {} chars long", "min_length"),
    "greater_than_equal": _limit("should be greater than or equal to {}", "ge"),
    "less_than_equal": _limit("should be less than or equal to {}", "le"),
    "too_long": _too_many,
    "too_short": _too_few,
}


def show(value: Any) -> str:
    """A value as JSON writes it, cut short."""
    if isinstance(value, str):
        return f'"{paths.shorten(value, 80)}"'
    if isinstance(value, bool):
        return "true" if value else "false"
    return type_name(value) if isinstance(value, (list, tuple, dict)) else str(value)


def _invalid(value: Any) -> str:
    return f"Invalid value: {show(value)}: "


def _wrong_type(expected: str, value: Any) -> tuple[str, str]:
    actual = type_name(value)
    shown = f" ({show(value)})" if actual not in ("array", "object", "null") else ""
    remedy = ""
    if expected == "string" and actual in ("integer", "number", "boolean"):
        remedy = f'put it in quotes: "{show(value)}"'
    elif expected in ("integer", "boolean", "number") and actual == "string":
        remedy = "leave the quotes out"
    elif expected == "array":
        remedy = "write it as a list, each item with '- '"
    return f"must be of type {expected}, not {actual}{shown}", remedy


def _with_unit(location: tuple[str | int, ...], value: Any, model: type[Model]) -> str:
    """The remedy for a bare number where a duration belongs: quotes alone would not make it one."""
    owner = model_at(model, location[:-1])
    fields = {field.alias: field for field in owner.model_fields.values()} if owner else {}
    field = fields.get(str(location[-1]))
    if field is None or type(value) not in (int, float):
        return ""
    annotation: Any = field.rebuild_annotation()
    adapter: TypeAdapter[Any] = TypeAdapter(annotation)
    if _takes(adapter, str(value)) or not _takes(adapter, f"{value}s") or _takes(adapter, "x"):
        return ""
    return f"write it with its unit: {value}s"


def _takes(adapter: TypeAdapter[Any], text: str) -> bool:
    try:
        adapter.validate_python(text)
    except ValidationError:
        return False
    return True


def _unknown_field(location: tuple[str | int, ...], model: type[Model]) -> tuple[str, str]:
    name = str(location[-1])
    owner = model_at(model, location[:-1])
    known = [field.alias or key for key, field in owner.model_fields.items()] if owner else []
    near = paths.nearest(name, known)
    problem = f'unknown field "{paths.shorten(name)}"'
    if near:
        return problem, f'did you mean "{near}"?'
    shown = ", ".join(sorted(known))
    return problem, f"known fields here: {shown}" if shown else ""


def _is_hidden(location: tuple[str | int, ...], model: type[Model]) -> bool:
    fields = {field.alias: field for field in model.model_fields.values()}
    return not getattr(fields.get(str(location[0])), "repr", True) if location else False


def model_at(model: type[Model], location: tuple[str | int, ...]) -> type[Model] | None:
    """The model of the part at a place inside an object."""
    current: Any = model
    for part in location:
        owner = model_in(current)
        if isinstance(part, str) and owner is not None and not _is_mapping(current):
            fields = {field.alias or key: field for key, field in owner.model_fields.items()}
            if part not in fields:
                return None
            current = fields[part].annotation
    return model_in(current)


def _is_mapping(annotation: Any) -> bool:
    return get_origin(_plain(annotation)) is dict


def _plain(annotation: Any) -> Any:
    """An annotation without Annotated and Optional."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _plain(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
        return _plain(kinds[0])
    return annotation


def model_in(annotation: Any) -> type[Model] | None:
    """The model that an annotation holds, also inside tuples, mappings and options; None if it holds none."""
    plain = _plain(annotation)
    if isinstance(plain, type) and issubclass(plain, Model):
        return plain
    arguments = [kind for kind in get_args(plain) if kind is not Ellipsis]
    return model_in(arguments[-1]) if arguments else None
