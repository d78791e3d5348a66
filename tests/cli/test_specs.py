"""Run specs: what is accepted, and that every mistake is told at once."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.cli import specs
from plait.node import workload_spec


def paths(**fields: Any) -> list[str]:
    spec = {"name": "web", "command": ["true"], **fields}
    return [mistake.path for mistake in specs.mistakes(spec)]


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("services", ["reviews", "reviews:80"], ["Reviews", "reviews:", "reviews:0", "a:b"]),
        (
            "ports",
            ["8080", 8080, "web:8080", "8080/http", "web:8080/grpc"],
            ["x", "0", "70000", "A:80", "80/smtp", True],
        ),
        ("publish", ["8080", "8080:80", "127.0.0.1:8080", "[::1]:8080:80"], ["x", "0", "127.0.0.1:x", "1:2:3:4"]),
        ("hostPorts", [5432, "5432"], ["x", -1, 65536]),
        ("command", ["a", 1], []),
    ],
)
def test_lists(field: str, good: list[Any], bad: list[Any]):
    """Each item of a list is checked, and each bad one is told by its index."""
    assert paths(**{field: good}) == []
    assert paths(**{field: [*good, *bad]}) == [f"{field}[{len(good) + at}]" for at in range(len(bad))]


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("name", "reviews-v1", "Reviews"),
        ("namespace", "shop", "-shop"),
        ("probe", "http:/healthz", "http:healthz"),
        ("probe", "tcp", "udp"),
        ("probe", "exec:test -e /tmp/ready", "exec:"),
        ("locality", "eu/eu-1", "eu//1"),
        ("capture", "explicit", "magic"),
        ("user", "nobody", 3),
        ("labels", {"app": "web", "example.com/tier": ""}, ["app"]),
        ("env", {"A": "1", "B": 2}, {"A=B": "1"}),
    ],
)
def test_values(field: str, good: Any, bad: Any):
    """A good value passes; a bad one, or one of another type, is told."""
    assert paths(**{field: good}) == []
    assert len(paths(**{field: bad})) == 1


def test_unknown_field_proposes_the_nearest():
    """An unknown field is a mistake that names the field probably meant."""
    [mistake] = specs.mistakes({"name": "web", "command": ["true"], "serviceAcount": "web"})

    assert mistake.problem == "there is no such field"
    assert mistake.remedy == "did you mean serviceAccount?"


def test_all_mistakes_at_once():
    """Every mistake is told, a missing command too."""
    found = list(specs.mistakes({"name": "A", "ports": ["x"], "capture": "y"}))

    assert [mistake.path for mistake in found] == ["name", "ports[0]", "capture", "command"]


def test_flag_names():
    """A field's path leads back to the flag that gave it."""
    assert [specs.flag(path) for path in ("ports[0]", "name", "labels.a")] == ["--port", "--name", "--labels"]


@given(
    services=st.lists(st.from_regex(r"[a-z][a-z0-9]{0,8}(:[1-9][0-9]{0,3})", fullmatch=True), max_size=3),
    ports=st.lists(st.from_regex(r"([a-z]{1,5}:)?[1-9][0-9]{0,3}(/(http|grpc|tcp))?", fullmatch=True), max_size=3),
    publish=st.lists(st.from_regex(r"(127\.0\.0\.1:)?[1-9][0-9]{0,3}(:[1-9][0-9]{0,3})?", fullmatch=True), max_size=3),
    host_ports=st.lists(st.integers(1, 65535), max_size=3),
)
def test_what_passes_here_passes_at_the_agent(
    services: list[str], ports: list[str], publish: list[str], host_ports: list[int]
):
    """The node agent understands every spec that the command line accepts."""
    spec = {"name": "web", "command": ["true"], "services": services, "ports": ports, "publish": publish,
            "hostPorts": host_ports}  # fmt: skip
    assert list(specs.mistakes(spec)) == []

    parsed = workload_spec.parse(specs.normal(spec))

    assert parsed.name.name == "web"
    assert len(parsed.publish) == len(publish)


@given(words=st.lists(st.text(max_size=20), min_size=1, max_size=3), number=st.integers(1, 4_000_000))
def test_invented_names_are_names(words: list[str], number: int):
    """Whatever is run, the name made up for it is a valid one."""
    assert list(specs.mistakes({"name": specs.invented_name([], words, number), "command": ["true"]})) == []
