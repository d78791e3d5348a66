"""The base of all kinds' models: JSON field names, strict JSON types, unknown fields refused, rules across fields.

A model describes one object of a standard's schema. What the schema language can say (types, patterns, limits) is
in the annotations; what it cannot say is in `broken()`, the counterpart of the CEL rules of the standard's CRDs, in
their wording. `validation.py` runs `broken()` of every model inside a document and turns all findings into violations.
"""

import re
from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

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
        use_attribute_docstrings=True,
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

    def given(self, field: str) -> bool:
        """Whether the document sets the field (CEL's `has`)."""
        return field in self.model_fields_set


def when(broken: bool, problem: str, *path: str | int) -> Iterator[Finding]:
    """The finding, if the condition says that the rule is broken."""
    if broken:
        yield Finding(path, problem)


def broken_regex(pattern: str, *path: str | int) -> Iterator[Finding]:
    """The finding, if that is no regular expression in RE2's syntax."""
    problem = regex_problem(pattern)
    yield from when(bool(problem), f"Invalid value: {pattern!r}: must be a regular expression (RE2): {problem}", *path)


Boolean = StrictBool
Integer = StrictInt
Port = Annotated[int, Field(strict=True, ge=1, le=65535)]
Anything = dict[str, Any]
"""A part that is kept as it is and not looked into."""
