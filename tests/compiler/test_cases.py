"""The cases: calls go where they should, golden files are as reviewed, and a real Envoy takes each of them."""

import os
from pathlib import Path

import pytest
import yaml

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
def test_no_filter_is_left_out_until_a_route_asks(proxy: cases.Proxy) -> None:
    """The chain of a request that waits for its routes is made before they are there: a filter left out stays out."""
    assert "disabled: true" not in cases.rendered(proxy.resources)
