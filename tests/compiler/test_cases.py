"""The cases: calls go where they should, golden files are as reviewed, and a real Envoy takes each of them."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from plait.compiler import targets
from plait.envoy import names
from plait.envoy.references import missing_references
from plait.envoy.simulate import simulate
from tests.compiler import cases
from tests.envoy.real import validate

PROXIES = list(cases.proxies())
COMMON = {
    part
    for item in PROXIES
    if item.case == cases.BASIS
    for part in cases.parts(yaml.safe_load(cases.rendered(item.resources)))
}
each_proxy = pytest.mark.parametrize("proxy", PROXIES, ids=[f"{item.case}-{item.name}" for item in PROXIES])


@each_proxy
def test_calls_go_where_they_should(proxy: cases.Proxy) -> None:
    """Every call of a case meets what is expected of it."""
    outcomes = [(call, simulate(proxy.resources, call), expected) for call, expected in proxy.calls]
    wrong = [(call, found) for call, outcome, expected in outcomes if (found := cases.difference(outcome, expected))]
    assert wrong == []


@each_proxy
def test_the_golden_file_is_as_reviewed(proxy: cases.Proxy) -> None:
    """What a proxy holds changes only with its golden file, which `make golden` rewrites."""
    text = cases.rendered(proxy.resources, COMMON if proxy.case != cases.BASIS else frozenset())
    if os.environ.get("PLAIT_UPDATE_GOLDEN"):
        proxy.golden.write_text(text)
    assert proxy.golden.read_text() == text


@each_proxy
def test_envoy_takes_it_and_nothing_is_missing(proxy: cases.Proxy, tmp_path: Path) -> None:
    """Envoy accepts what the proxy holds, and everything that it refers to is there."""
    assert validate(proxy.resources, tmp_path) == ""
    assert missing_references(proxy.resources) == []


@each_proxy
def test_a_filter_that_guards_is_never_left_out(proxy: cases.Proxy) -> None:
    """The chain of a request that waits for its routes is made before they are there: what is left out stays out."""
    left_out = set(_left_out(yaml.safe_load(cases.rendered(proxy.resources))))
    assert left_out <= {names.CORS_FILTER, names.FAULT_FILTER, names.SESSION_FILTER, targets.REFUSING}


def _left_out(value: Any) -> Iterator[str]:
    """The names of all disabled filters in a document."""
    parts: list[Any] = cast("list[Any]", value) if isinstance(value, list) else []
    if isinstance(value, dict):
        document = cast("dict[str, Any]", value)
        parts = list(document.values())
        if document.get("disabled") is True:
            yield str(document["name"])
    for part in parts:
        yield from _left_out(part)
