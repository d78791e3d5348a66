"""Small parts: durations, tables, what errors say, how `why` tells its story."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.cli import durations, errors, render, why
from plait.cli.app import with_optional_values
from plait.errors import InvalidInputError, NotFoundError
from plait.resources.violations import Violation


@pytest.mark.parametrize(("text", "seconds"), [("500ms", 0.5), ("30s", 30), ("2m", 120), ("1h", 3600), ("1.5", 1.5)])
def test_durations(text: str, seconds: float):
    """Durations are read with their unit; plain numbers are seconds."""
    assert durations.seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "-1s", "1 s", "1d", "shop.yaml"])
def test_no_durations(text: str):
    """Anything else is a usage error."""
    assert not durations.is_duration(text)
    with pytest.raises(errors.UsageError, match="is no duration"):
        durations.seconds(text)


def test_wait_may_stand_alone():
    """`--wait` takes a time where one follows, else its default; a file that follows stays a file."""
    assert with_optional_values(["apply", "--wait", "5s", "-f", "a"]) == ["apply", "--wait", "5s", "-f", "a"]
    assert with_optional_values(["apply", "--wait", "a.yaml"]) == ["apply", "--wait=30s", "a.yaml"]
    assert with_optional_values(["apply", "-f", "a", "--wait"]) == ["apply", "-f", "a", "--wait=30s"]
    assert with_optional_values(["get", "--wait"]) == ["get", "--wait"]


def test_error_is_one_line_and_a_hint():
    """An error prints as one line, and how to mend it as a second."""
    assert errors.describe(NotFoundError("no such thing", "make one")) == "error: no such thing\n  hint: make one"
    assert errors.describe(NotFoundError("no such thing")) == "error: no such thing"


@pytest.mark.parametrize(
    ("command", "end"),
    [
        ("apply", "; nothing was applied"),
        ("bundle", "; nothing was written"),
        ("delete", "; nothing was deleted"),
        ("start", "; nothing was started"),
        ("diff", ""),
        ("test", ""),
        ("", ""),
    ],
)
def test_violations_are_all_printed(command: str, end: str):
    """Wrong input prints every mistake on a line of its own, and what the command therefore did not do."""
    error = InvalidInputError([Violation(file="a.yaml", line=3, problem="x"), Violation(problem="y", remedy="z")])

    assert errors.describe(error, command) == f"a.yaml:3: x\ny; z\n2 mistakes found{end}"


@given(cells=st.lists(st.lists(st.text("ab c", max_size=6), min_size=2, max_size=2), max_size=4))
def test_columns_line_up(cells: list[list[str]]):
    """Every cell of a plain table starts at its column's place, and nothing is cut."""
    lines = render.plain_table(["NAME", "STATE"], cells, [False, False])
    start = max(len(row[0]) for row in [["NAME"], *cells]) + 2

    assert [line[start:] for line in lines] == ["STATE", *(row[1].rstrip() for row in cells)]
    assert [line[:start].rstrip() for line in lines] == ["NAME", *(row[0].rstrip() for row in cells)]


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), ("", "-"), ([], "-"), (True, "yes"), (False, "no"), (0, "0"), ([1, 2], "1,2"), ({"a": 1}, "a=1")],
)
def test_cells(value: object, text: str):
    """Values read as a person would write them; nothing is a dash, zero is zero."""
    assert render.text(value) == text


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (["http://a/"], ("GET", "http://a/")),
        (["post", "http://a/"], ("POST", "http://a/")),
        (["tcp://db:5432"], ("", "tcp://db:5432")),
        (["tls://db:443"], ("", "tls://db:443")),
    ],
)
def test_calls(call: list[str], expected: tuple[str, str]):
    """A call is a method and a URL; tcp:// and tls:// have no method."""
    assert why.method_and_url(call) == expected


@pytest.mark.parametrize("call", [["GET", "reviews"], ["GET", "tcp://db:5432"], ["a", "GET", "http://a/"]])
def test_no_calls(call: list[str]):
    """Anything else is a usage error."""
    with pytest.raises(errors.UsageError):
        why.method_and_url(call)


def test_story_in_order():
    """Every step is told in order with its line of YAML, then time, retries and the nearest miss."""
    source = {
        "kind": "HTTPRoute",
        "namespace": "default",
        "name": "r",
        "path": "spec.rules[0]",
        "file": "s.yaml",
        "line": 7,
    }
    answer = {
        "sentence": "GET http://reviews/ from default/web is answered by reviews-v1.",
        "steps": [
            {"stage": "caller", "outcome": "default/web, spiffe://cluster.local/ns/default/sa/web", "source": None},
            {"stage": "rule", "outcome": "matches path prefix /", "source": source},
        ],
        "timeout": 2.5,
        "retries": 1,
        "nearestMiss": "spec.rules[1] wants the header x-user",
    }

    assert list(why.story(answer)) == [
        "GET http://reviews/ from default/web is answered by reviews-v1.",
        "  1. caller: default/web, spiffe://cluster.local/ns/default/sa/web",
        "  2. rule: matches path prefix /  [HTTPRoute default/r spec.rules[0] (s.yaml:7)]",
        "     answer within 2.5s; tried again at most once",
        "     nearest miss: spec.rules[1] wants the header x-user",
    ]


def test_story_without_steps():
    """Without steps the parts of the answer are told by name."""
    answer = {"sentence": "x", "listener": "outbound", "endpoints": ["10.0.0.1:80"], "policy": None}

    assert list(why.story(answer)) == ["x", "     listener: outbound", "     endpoints: 10.0.0.1:80"]
