"""Which headers of an authorizer's answer an app may see where none are named."""

import re

import pytest

from plait.compiler.policies.authorizers import outside

WORDS = ("te$", "host$", "content-", "connection$", "x-plait-", ":")


@pytest.mark.parametrize(
    ("header", "matches"),
    [
        *((name, False) for name in ("te", "host", "content-", "content-type", "connection", "x-plait-a", ":status")),
        *((name, True) for name in ("t", "te2", "hosts", "content", "connection-x", "x-plait", "x", "x-user", "a")),
    ],
)
def test_expressions_for_all_but_some_words(header: str, matches: bool) -> None:
    """Whole words and beginnings are left out, and nothing else."""
    assert any(re.fullmatch(pattern, header) for pattern in outside(WORDS)) is matches
