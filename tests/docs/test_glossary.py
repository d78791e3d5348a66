"""The glossary: its classes exist, each term stands once, in order."""

import re
from importlib import import_module

import pytest

from tests.docs.pages import ROOT

ROWS = re.findall(
    r"^\| ([A-Z][^|]*) \| .* \| `(plait\.[\w.]+)` \|$", (ROOT / "docs/glossary.md").read_text(), re.MULTILINE
)


@pytest.mark.parametrize("name", [name for _, name in ROWS])
def test_class_exists(name: str):
    """A class that the glossary names can be imported."""
    module, _, attribute = name.rpartition(".")
    assert isinstance(getattr(import_module(module), attribute), type)


def test_terms_are_sorted_and_unique():
    """Each term stands once, in the order of the alphabet."""
    terms = [term.lower() for term, _ in ROWS]
    assert len(terms) > 20
    assert terms == sorted(set(terms))
