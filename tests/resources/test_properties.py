"""Whatever is written, parsing answers; what is right stays the same."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from plait.resources import registry
from plait.resources.kind import Kind
from plait.resources.parse import Resource, parse, validate
from plait.resources.values import as_object
from plait.resources.yaml import load
from tests.resources.documents import http_route

MODELS = [kind for kind in registry.KINDS if kind.model is not None]

_scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=12,
)


def _like(schema: dict[str, Any], definitions: dict[str, Any]) -> SearchStrategy[Any]:
    """Values that nearly fit a schema: known fields with values of the right or of any type."""
    while "$ref" in schema:
        schema = definitions[schema["$ref"].rsplit("/", maxsplit=1)[-1]]
    if "anyOf" in schema:
        return st.one_of([_like(part, definitions) for part in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"]) | _scalars
    if schema.get("type") == "array":
        return st.lists(st.deferred(lambda: _like(schema["items"], definitions)), max_size=2) | _scalars
    if "properties" in schema:
        fields = {
            name: st.deferred(lambda part=part: _like(part, definitions)) for name, part in schema["properties"].items()
        }
        return st.fixed_dictionaries({}, optional=fields) | _scalars
    simple = {"string": st.text(max_size=6), "integer": st.integers(), "boolean": st.booleans()}
    return simple.get(schema.get("type", ""), _values) | _scalars


@pytest.mark.parametrize("kind", MODELS, ids=str)
def test_near_misses_get_an_answer(kind: Kind):
    """Documents with known fields and odd values give a resource or violations, and never an error."""
    assert kind.model is not None
    schema = kind.model.model_json_schema(by_alias=True)

    @given(_like(schema, schema.get("$defs", {})))
    def check(value: Any) -> None:
        fields = as_object(value)
        answer = parse(value if fields is None else {**fields, "apiVersion": kind.api_version, "kind": kind.kind})
        assert isinstance(answer, Resource) or all(str(violation) for violation in answer)

    check()


@given(_values)
def test_any_value_gets_an_answer(value: Any):
    """No JSON value makes parsing fail."""
    parse(value)


@given(st.text(alphabet="apiVersionkdmt:{}[]- \n\"'1v/", max_size=300))
def test_any_text_can_be_validated(text: str):
    """Reading and validating any text ends in violations at worst."""
    validate(load(text).documents, known_namespaces=())


_NOTHING: dict[str, SearchStrategy[Any]] = {}
_names = st.from_regex(r"[a-z][a-z0-9]{0,5}", fullmatch=True)
_ports = st.integers(1, 65535)
_paths = st.builds("/{}".format, _names)
_matches: SearchStrategy[Any] = st.fixed_dictionaries(
    _NOTHING,
    optional={
        "path": st.fixed_dictionaries({"type": st.sampled_from(["Exact", "PathPrefix"]), "value": _paths}),
        "method": st.sampled_from(["GET", "POST"]),
        "headers": st.lists(
            st.fixed_dictionaries({"name": _names, "value": _names}), max_size=3, unique_by=lambda item: item["name"]
        ),
    },
)
_backends: SearchStrategy[Any] = st.fixed_dictionaries(
    {"name": _names, "port": _ports}, optional={"weight": st.integers(0, 1_000_000)}
)
_rules: SearchStrategy[Any] = st.fixed_dictionaries(
    _NOTHING,
    optional={
        "matches": st.lists(_matches, max_size=3),
        "backendRefs": st.lists(_backends, max_size=3),
        "timeouts": st.fixed_dictionaries({"request": st.builds("{}s".format, st.integers(0, 99999))}),
    },
)


@given(st.lists(_rules, min_size=1, max_size=4))
def test_right_routes_come_back_as_they_were(rules: list[Any]):
    """A right route parses, and its model dumps to the document it was made from."""
    made = http_route(rules=rules)

    read = parse(made)

    assert isinstance(read, Resource), read
    assert read.object is not None
    assert read.object.model_dump(by_alias=True, exclude_unset=True, mode="json") == made


@given(st.lists(_rules, min_size=1, max_size=2))
def test_models_are_values(rules: list[Any]):
    """Parsing twice gives equal specifications."""
    first, second = parse(http_route(rules=rules)), parse(http_route(rules=rules))

    assert isinstance(first, Resource)
    assert isinstance(second, Resource)
    assert first.spec == second.spec
