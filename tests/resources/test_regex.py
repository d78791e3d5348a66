"""RE2's syntax: what is refused, and that Envoy takes what is accepted."""

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.resources.regex import regex_problem

RIGHT = [
    "",
    "a|b|",
    "/v[0-9]+(/.*)?",
    "(?i)abc(?-i:D)",
    "(?P<name>x)(?:y)(?s:.)",
    r"\d\D\s\S\w\W\b\B\A\z",
    r"\pL\p{Greek}\PN\p{^Lu}",
    r"[[:alpha:][:^digit:]]",
    r"[^]a-]",
    r"[]a]",
    r"[\]\-\d]",
    "[a-]",
    r"\Q(*\E*",
    r"\x41\x{FF}\012\07\0",
    r"[\d-z][[:alpha:]-z]",
    "(?)(?i)",
    "(?<a>x)(?<a>y)",
    r"\.\/\-\_\@\ ",
    "a{1000}",
    "a{2,}?b{0,3}",
    "a{,3}{",
    "a*?b+?c??",
    "(a{10}){100}",
    "^*$*",
    "(|a)*",
    "ä+",
    "}",
    "]",
]
WRONG = {
    "(?=a)": "lookahead",
    "(?!a)": "lookahead",
    "(?<=a)b": "lookbehind",
    "(?<!a)b": "lookbehind",
    r"(a)\1": "backreference",
    "(?P=name)": "backreferences",
    "(?>a)": "atomic",
    "(?#x)": "comments",
    "(?(1)a|b)": "conditions",
    "a++": "bad repetition",
    "a**": "bad repetition",
    "a{2}{3}": "bad repetition",
    "*a": "missing argument",
    "(*a)": "missing argument",
    "a|+": "missing argument",
    "{2}": "missing argument",
    "a{1001}": "more than 1000",
    "(a{100}){11}": "more than 1000",
    "a{3,2}": "larger",
    "(a": "missing closing )",
    "a)": "unexpected )",
    "[a": "missing closing ]",
    "[]": "missing closing ]",
    "[z-a]": "bad character range",
    r"[a-\d]": "bad character range",
    r"[a-\x41]": "bad character range",
    r"\p{Foo}": "unknown character class",
    r"\E": "unknown escape",
    "[[:nope:]]": "unknown character class",
    r"\q": "unknown escape",
    r"\Z": "unknown escape",
    r"\x4": "unknown escape",
    r"\x{100}": "no byte",
    r"\712": "no byte",
    "(abcdefgh){1000}": "too large",
    "a\\": "trailing",
    "(?z)": "flags",
    "(?P<a b>c)": "bad group name",
}
CAUTIOUSLY_REFUSED = {"a{99999999999999}": "more than 1000", "(" * 400 + ")" * 400: "nested too deeply"}
"""What Envoy takes, or may take, but nobody can mean."""


@pytest.mark.parametrize("pattern", RIGHT)
def test_right_patterns(pattern: str):
    """What RE2's documentation allows is accepted."""
    assert regex_problem(pattern) == ""


@pytest.mark.parametrize(("pattern", "words"), [*WRONG.items(), *CAUTIOUSLY_REFUSED.items()])
def test_wrong_patterns(pattern: str, words: str):
    """What RE2 does not have is refused, and named."""
    assert words in regex_problem(pattern)


@given(st.text(alphabet="ab\\(){}[]^$.|?*+-<>=!:PQEdxp0129,", max_size=30))
def test_any_text_gets_an_answer(pattern: str):
    """No text makes the check fail."""
    assert isinstance(regex_problem(pattern), str)


_NETWORK = "type.googleapis.com/envoy.extensions.filters.network"


def _validate(patterns: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    routes = [{"match": {"safe_regex": {"regex": pattern}}, "direct_response": {"status": 200}} for pattern in patterns]
    hcm: dict[str, Any] = {
        "@type": f"{_NETWORK}.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "x",
        "route_config": {"virtual_hosts": [{"name": "x", "domains": ["*"], "routes": routes}]},
        "http_filters": [
            {
                "name": "router",
                "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
            }
        ],
    }
    listener = {
        "name": "x",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 1}},
        "filter_chains": [{"filters": [{"name": "hcm", "typed_config": hcm}]}],
    }
    config = folder / "envoy.json"
    layer = {"name": "limits", "static_layer": {"re2.max_program_size.error_level": 4096}}
    bootstrap = {"static_resources": {"listeners": [listener]}, "layered_runtime": {"layers": [layer]}}
    config.write_text(json.dumps(bootstrap))
    envoy = Path(sys.executable).with_name("envoy")
    command = [str(envoy), "--mode", "validate", "-c", str(config), "-l", "critical"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.integration
@pytest.mark.timeout(120)
def test_envoy_takes_what_is_accepted(tmp_path: Path):
    """One Envoy accepts every pattern of the right list (empty ones excepted, which routes do not have)."""
    answer = _validate([pattern for pattern in RIGHT if pattern], tmp_path)

    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.integration
@pytest.mark.timeout(120)
def test_envoy_takes_random_patterns_that_are_accepted(tmp_path: Path):
    """One Envoy accepts thousands of random patterns that pass the check."""
    chance = random.Random(7)
    alphabet = [
        "a",
        "b",
        "\\",
        "(",
        ")",
        "(?:",
        "(?i)",
        "{2}",
        "{1,3}",
        "[",
        "]",
        "^",
        "-",
        "$",
        ".",
        "|",
        "?",
        "*",
        "+",
    ]
    alphabet += ["\\d", "\\pL", "[:alpha:]", "x", "1", "0", "{", "}", ",", "Q", "E", "\\Q", "\\E", "<", ":", "é"]
    made = {"".join(chance.choices(alphabet, k=chance.randint(1, 9))) for _ in range(20_000)}
    accepted = sorted(pattern for pattern in made if not regex_problem(pattern))
    assert len(accepted) > 1000

    answer = _validate(accepted, tmp_path)

    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.integration
@pytest.mark.timeout(120)
@pytest.mark.parametrize("pattern", WRONG)
def test_envoy_refuses_what_is_refused(pattern: str, tmp_path: Path):
    """Nothing is refused here that Envoy would take."""
    assert _validate([pattern], tmp_path).returncode != 0
