"""The base of all kinds' models: JSON field names, strict JSON types, unknown fields refused, rules across fields.

A model describes one object of a standard's schema. What the schema language can say (types, patterns, limits) is
in the annotations; what it cannot say is in `broken()`, the counterpart of the CEL rules of the standard's CRDs, in
their wording. `validation.py` runs `broken()` of every model inside a document and turns all findings into violations.
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import Annotated, Any, NamedTuple, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    StrictBool,
    StrictInt,
    ValidationInfo,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from plait.resources.regex import regex_problem

BROKEN_RULES = "broken_rules"
"""The type of the pydantic error that carries findings of `broken()`."""


class Finding(NamedTuple):
    """A broken rule: the path inside the model (empty for the model itself) and what the standard says."""

    path: tuple[str | int, ...]
    problem: str


def camel_case(name: str) -> str:
    """The JSON name of a field: `parent_refs` is `parentRefs`, `from_` is `from`."""
    return re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), name.rstrip("_"))


class Model(BaseModel):
    """A part of an object."""

    model_config = ConfigDict(
        alias_generator=camel_case,
        extra="forbid",
        frozen=True,
        defer_build=True,
    )

    def broken(self) -> Iterator[Finding]:
        """The rules across fields that this part breaks."""
        return iter(())

    @model_validator(mode="after")
    def _raise_broken(self, info: ValidationInfo) -> Self:
        if info.context and info.context.get(BROKEN_RULES):
            findings = tuple(self.broken())
            if findings:
                raise PydanticCustomError(BROKEN_RULES, "breaks a rule", {"findings": findings})
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The schema with the texts that stand under the fields as their descriptions."""
        made = handler(schema)
        resolved = handler.resolve_ref_schema(made)
        properties: dict[str, JsonSchemaValue] = resolved.get("properties", {})
        for name, text in field_texts(cls).items():
            field = properties.get(camel_case(name)) or properties.get(cls.model_fields[name].alias or "")
            if field is not None:
                field["description"] = text
        return made

    def given(self, field: str) -> bool:
        """Whether the document sets the field (CEL's `has`)."""
        return field in self.model_fields_set


@cache
def field_texts(model: type[BaseModel]) -> dict[str, str]:
    """The text under each field of a model, its bases' included; read from the source only when asked for."""
    texts: dict[str, str] = {}
    for parent in reversed(model.__mro__):
        if issubclass(parent, Model) and parent is not Model:
            body = ast.parse(textwrap.dedent(inspect.getsource(parent))).body[0]
            texts.update(_texts_in(body) if isinstance(body, ast.ClassDef) else {})
    return {name: text for name, text in texts.items() if name in model.model_fields}


def _texts_in(body: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for statement, following in pairwise(body.body):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            value = following.value if isinstance(following, ast.Expr) else None
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield statement.target.id, inspect.cleandoc(value.value)


def when(broken: bool, problem: str, *path: str | int) -> Iterator[Finding]:
    """The finding, if the condition says that the rule is broken."""
    if broken:
        yield Finding(path, problem)


def choice(*alternatives: tuple[str, bool]) -> Iterator[Finding]:
    """The finding, if more than one of the alternatives is given."""
    given = [name for name, is_given in alternatives if is_given]
    if len(given) > 1:
        names = ", ".join(name for name, _ in alternatives)
        yield Finding((given[1],), f"only one of {names} can be set")


def broken_regex(pattern: str, *path: str | int) -> Iterator[Finding]:
    """The finding, if that is no regular expression in RE2's syntax."""
    problem = regex_problem(pattern)
    yield from when(bool(problem), f"Invalid value: {pattern!r}: must be a regular expression (RE2): {problem}", *path)


Boolean = StrictBool
Integer = StrictInt
Count32 = Annotated[int, Field(strict=True, ge=0, le=2147483647)]
"""A number that the standard declares as int32 and that must not be negative."""
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Unsigned = Annotated[int, Field(strict=True, ge=0, le=4294967295)]
Port = Annotated[int, Field(strict=True, ge=1, le=65535)]
Anything = dict[str, Any]
"""A part that is kept as it is and not looked into."""
