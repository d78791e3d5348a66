"""The reference: made from the code, and complete."""

import json
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from plait.api.app import create_app
from plait.api.backend import Backend
from plait.cli import app
from plait.controlplane.settings import ControlSettings
from plait.node.settings import NodeSettings
from plait.resources.kind import Kind
from plait.resources.registry import KINDS
from plait.store.memory import MemoryStore
from tests.docs.pages import ROOT

REFERENCE = ROOT / "docs" / "reference"
SOURCES = sorted((ROOT / "src" / "plait").rglob("*.py"))


def _read(name: str) -> str:
    return (REFERENCE / name).read_text(encoding="utf-8")


def test_generated_pages_are_up_to_date():
    """`make docs` would change nothing."""
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "reference.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.model], ids=str)
def test_kind_has_a_page_with_an_example(kind: Kind):
    """Every kind that is checked has a page; every kind that acts shows an example there."""
    text = _read(f"kinds/{kind.page}.md")
    assert f"kind: {kind.kind}\n" in text or not kind.effective


@pytest.mark.parametrize("name", [*app.QUICK_SUMMARIES, *app.COMMANDS, *app.GROUPS])
def test_command_has_a_page(name: str):
    """Every command has a page with its help."""
    assert "sage: plait " in _read(f"commands/{name}.md")


@pytest.mark.parametrize("name", [*ControlSettings.model_fields, *NodeSettings.__dataclass_fields__])
def test_setting_is_listed(name: str):
    """Every setting of a process is on the page of settings."""
    assert f"`PLAIT_{name.upper()}`" in _read("settings.md")


def test_variables_are_listed():
    """Every environment variable that the code names is on the page of settings."""
    named = {name for path in SOURCES for name in re.findall(r"\bPLAIT_[A-Z_]*[A-Z]", path.read_text(encoding="utf-8"))}
    listed = set(re.findall(r"`(PLAIT_[A-Z_]+)`", _read("settings.md")))
    assert named - listed == set()


def test_routes_are_listed():
    """Every route of the mesh's own is on the page of the API."""
    paths = create_app(Backend(store=MemoryStore())).openapi()["paths"]
    assert [path for path in paths if f"`{path}`" not in _read("api.md")] == []


def test_annotations_are_listed():
    """Every annotation that the code writes or reads is listed, and none that it does not know."""
    literal = {
        found
        for path in SOURCES
        for found in re.findall(r"(?<![.\w])plait\.dev/[a-z]+(?:-[a-z]+)*", path.read_text(encoding="utf-8"))
    }
    written = (ROOT / "src/plait/node/registration.py").read_text(encoding="utf-8")
    listed = set(re.findall(r"`(plait\.dev/[a-z-]+)`", _read("annotations.md")))
    assert literal - listed == set()
    assert {name for name in listed - literal if f'"{name.partition("/")[2]}"' not in written} == set()


@pytest.mark.parametrize("path", sorted((REFERENCE / "schemas").glob("*.json")), ids=lambda path: path.stem)
def test_schema_is_a_schema(path: Path):
    """Every schema of an output is a valid JSON schema with a title."""
    schema = json.loads(path.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["title"]
