"""Selectors and printer columns: their small languages."""

import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.api import jsonpath
from plait.api.errors import ApiError
from plait.api.selectors import selected
from plait.api.tables import age, cell, wants_table
from plait.resources.kind import Column

_LABELS = {"app": "web", "tier": "front", "example.com/zone": "a"}
_DOCUMENT: dict[str, Any] = {
    "metadata": {"name": "x", "labels": _LABELS, "annotations": {"plait.dev/node": "n1"}},
    "spec": {
        "hosts": ["a", "b"],
        "ports": [{"port": 80}, {"port": 81}],
        "on": True,
        "selector": {"k": "v"},
    },
    "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Other", "status": "False"}]},
}


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("app=web", True),
        ("app==web,tier=front", True),
        ("app!=web", False),
        ("missing!=x", True),
        ("app in (api, web)", True),
        ("app notin (api,web)", False),
        ("missing notin (a)", True),
        ("app", True),
        ("!app", False),
        ("! missing", True),
        ("example.com/zone=a", True),
        ("app in (web),tier notin (back), !missing", True),
        ("", True),
    ],
)
def test_label_selectors(selector: str, expected: bool) -> None:
    """All forms of Kubernetes, joined by commas."""
    assert selected(labels=selector)(_DOCUMENT) is expected


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("metadata.name=x", True),
        ("metadata.name!=x", False),
        ("metadata.namespace=", True),
        ("spec.on=true", True),
        ("spec.nothing.below=y", False),
    ],
)
def test_field_selectors(selector: str, expected: bool) -> None:
    """Any field can be compared; a field that is not there is empty."""
    assert selected(fields=selector)(_DOCUMENT) is expected


@given(st.text(max_size=20))
def test_any_text_is_a_selector_or_refused(text: str) -> None:
    """Reading a selector ends in a predicate or a refusal."""
    with contextlib.suppress(ApiError):
        assert selected(labels=text, fields=text)(_DOCUMENT) in (True, False)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (".metadata.name", ["x"]),
        (".spec.ports[*].port", [80, 81]),
        (".spec.ports[0].port", [80]),
        (".spec.ports[-1].port", [81]),
        ('.status.conditions[?(@.type=="Ready")].status', ["True"]),
        (".status.conditions[?(@.type!='Ready')].status", ["False"]),
        (r".metadata.annotations.plait\.dev/node", ["n1"]),
        (".metadata.annotations['plait.dev/node']", ["n1"]),
        (".spec.missing[0].port", []),
        ("spec.on", [True]),
    ],
)
def test_json_paths(path: str, expected: list[Any]) -> None:
    """The forms that printer columns use."""
    assert jsonpath.find(_DOCUMENT, path) == expected


def test_what_is_no_path_is_refused() -> None:
    """A column with a mistake shows in tests, not as an empty cell."""
    with pytest.raises(ValueError, match="not a JSONPath"):
        jsonpath.find(_DOCUMENT, ".a[b")


@pytest.mark.parametrize(
    ("path", "kind", "expected"),
    [
        (".spec.hosts", "string", "a,b"),
        (".spec.ports[*].port", "string", "80,81"),
        (".spec.ports[0].port", "integer", 80),
        (".spec.on", "string", "true"),
        (".spec.selector", "string", "k=v"),
        (".spec.nothing", "string", "<none>"),
        (".spec.nothing", "integer", None),
        (".spec.ports", "string", '[{"port": 80}, {"port": 81}]'),
    ],
)
def test_cells(path: str, kind: str, expected: Any) -> None:
    """Lists are joined, nothing is <none>, numbers stay numbers."""
    assert cell(_DOCUMENT, Column(name="X", path=path, type=kind)) == expected


@pytest.mark.parametrize(
    ("passed", "expected"),
    [
        (timedelta(seconds=5), "5s"),
        (timedelta(seconds=119), "119s"),
        (timedelta(minutes=5), "5m"),
        (timedelta(hours=5), "5h"),
        (timedelta(days=20), "20d"),
        (timedelta(days=800), "2y"),
        (timedelta(seconds=-9), "0s"),
    ],
)
def test_ages(passed: timedelta, expected: str) -> None:
    """As kubectl prints them."""
    assert age((datetime.now(UTC) - passed).isoformat()) == expected


def test_tables_are_for_clients_that_ask() -> None:
    """By the version that they name first."""
    assert wants_table("application/json;as=Table;v=v1;g=meta.k8s.io,application/json") == "v1"
    assert wants_table("application/json;as=Table;g=meta.k8s.io;v=v1beta1, application/json") == "v1beta1"
    assert wants_table("application/json") == ""
    assert wants_table("application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io") == ""
