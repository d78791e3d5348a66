"""Checks one object against its kind's model and words what is wrong, all at once.

A first pass finds unknown fields and wrong values; a second one, without the unknown fields, finds what they hid, and
applies the rules across fields (`Model.broken`) wherever a part is otherwise right. So one run reports everything that
can be told apart from a consequence of another mistake.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Self

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from plait.resources import names, paths, registry, wording
from plait.resources.kind import Kind
from plait.resources.meta import KubernetesObject
from plait.resources.schema import BROKEN_RULES, Model
from plait.resources.values import as_array, as_object, as_text, without, without_nulls
from plait.resources.violations import Violation
from plait.resources.wording import model_in


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What violations are about: the object, its file and the lines of its fields."""

    resource: str
    file: str = ""
    lines: Mapping[str, int] = field(default_factory=dict[str, int])

    @classmethod
    def of(cls, document: Any, *, lines: Mapping[str, int], file: str) -> Self:
        """The subject of a document, as far as it says what it is."""
        fields = as_object(document) or {}
        metadata = as_object(fields.get("metadata")) or {}
        name = "/".join(str(metadata[key]) for key in ("namespace", "name") if metadata.get(key))
        label = " ".join(part for part in (as_text(fields.get("kind")), name) if part)
        return cls(resource=label, file=file, lines=lines)

    def violation(self, path: str, problem: str, remedy: str = "") -> Violation:
        """A violation of this object at a path."""
        line = paths.line_of(path, self.lines)
        return Violation(file=self.file, line=line, resource=self.resource, path=path, problem=problem, remedy=remedy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """An object that is right; `document` is without nulls."""

    kind: Kind
    model: KubernetesObject | None
    document: Mapping[str, Any]


def validate_object(document: Any, subject: Subject) -> Checked | tuple[Violation, ...]:
    """The object's kind and model, or everything that is wrong with it."""
    if as_object(document) is None:
        return (subject.violation("", "must be an object with apiVersion and kind"),)
    try:
        cleaned = without_nulls(document)
    except RecursionError:
        return (subject.violation("", "is nested too deeply", "an object has at most some hundred levels"),)
    return _validate_cleaned(cleaned, subject)


def _validate_cleaned(cleaned: dict[str, Any], subject: Subject) -> Checked | tuple[Violation, ...]:
    kind = _kind_of(cleaned, subject)
    if isinstance(kind, tuple):
        return kind
    violations = list(names.broken_names(kind, cleaned, subject))
    if kind.model is None:
        header = {key: cleaned[key] for key in ("apiVersion", "kind", "metadata") if key in cleaned}
        _, found = _checked(KubernetesObject, header, subject)
        return tuple(violations + found) or Checked(kind=kind, model=None, document=cleaned)
    if as_object(cleaned.get("status", {})) is None:
        del cleaned["status"]
    model, found = _checked(kind.model, cleaned, subject)
    violations += found
    if violations or model is None:
        return tuple(sorted(dict.fromkeys(violations), key=lambda violation: violation.line))
    return Checked(kind=kind, model=model, document=cleaned)


def _kind_of(document: Mapping[str, Any], subject: Subject) -> Kind | tuple[Violation, ...]:
    missing = [
        subject.violation(field, "Required value" if field not in document else "must be of type string")
        for field in ("apiVersion", "kind")
        if not isinstance(document.get(field), str) or not document[field]
    ]
    if missing:
        return tuple(missing)
    api_version, name = document["apiVersion"], document["kind"]
    group, version = registry.split_api_version(api_version)
    kind = registry.of(api_version, name)
    if kind is None:
        near = registry.nearest_kinds(name, group) or registry.nearest_kinds(name)
        remedy = f"did you mean {' or '.join(near)}?" if near else ""
        return (subject.violation("kind", f'no matches for kind "{name}" in version "{api_version}"', remedy),)
    if not kind.stored_only and version not in kind.versions:
        served = ", ".join(f"{group}/{each}" if group else each for each in kind.versions)
        problem = f'no matches for kind "{name}" in version "{api_version}"'
        return (subject.violation("apiVersion", problem, f"served: {served}"),)
    return kind


def _checked(
    model: type[KubernetesObject], document: dict[str, Any], subject: Subject
) -> tuple[KubernetesObject | None, list[Violation]]:
    """The model, and violations."""
    try:
        checked = model.model_validate(document)
    except ValidationError as error:
        errors = error.errors(include_url=False)
    else:
        return checked, [subject.violation(paths.join(path), problem) for path, problem in broken_rules(checked)]
    unknown = [item for item in errors if item["type"] == "extra_forbidden"]
    rest = _second_pass(model, without(document, [item["loc"] for item in unknown]))
    return None, [*_worded(unknown, model, subject), *_worded(rest, model, subject)]


def _second_pass(model: type[KubernetesObject], document: dict[str, Any]) -> list[ErrorDetails]:
    try:
        model.model_validate(document, context={BROKEN_RULES: True})
    except ValidationError as error:
        return error.errors(include_url=False)
    return []


def _worded(errors: list[ErrorDetails], model: type[KubernetesObject], subject: Subject) -> Iterator[Violation]:
    for error in errors:
        location = error["loc"]
        if error["type"] == "too_short" and _has_wrong_items(location, errors):
            continue
        if error["type"] == BROKEN_RULES:
            for path, problem in error.get("ctx", {})["findings"]:
                yield subject.violation(paths.join((*location, *path)), problem)
            continue
        path = tuple(part for part in location if part != "[key]")
        problem, remedy = wording.word(error, model)
        yield subject.violation(paths.join(path), problem, remedy)


def _has_wrong_items(location: tuple[str | int, ...], errors: list[ErrorDetails]) -> bool:
    """Whether a list seems too short only because pydantic does not count its wrong items."""
    size = len(location)
    return any(len(error["loc"]) > size and error["loc"][:size] == location for error in errors)


def broken_rules(model: Model, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Every rule across fields that is broken anywhere inside a model."""
    for finding in model.broken():
        yield (*path, *finding.path), finding.problem
    for name, alias in _parts(type(model)):
        if name in model.model_fields_set:
            yield from _broken_inside(getattr(model, name), (*path, alias))


@cache
def _parts(model: type[Model]) -> tuple[tuple[str, str], ...]:
    """The fields of a model that hold models, with their JSON names."""
    fields = model.model_fields.items()
    return tuple((name, field.alias or name) for name, field in fields if model_in(field.annotation) is not None)


def _broken_inside(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if isinstance(value, Model):
        yield from broken_rules(value, path)
        return
    for index, item in enumerate(as_array(value) or ()):
        yield from _broken_inside(item, (*path, index))
    for key, item in (as_object(value) or {}).items():
        yield from _broken_inside(item, (*path, key))
