"""The examples of README and docs: YAML is valid, and what the pages say to do works on a real mesh."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plait.cli import workloads_file
from plait.resources.parse import validate
from plait.resources.yaml import load
from tests.docs.pages import ROOT, Block, Shell, blocks, executed, follow, matches, pages

VENV = ROOT / ".venv" / "bin"
EXECUTED = [page for page in pages() if executed(page)]
FOLLOWED_ELSEWHERE = (
    "back-up-and-restore",
    "blue-green",
    "circuit-breaking",
    "egress",
    "fault-injection",
    "limit-rates",
    "limit-what-a-workload-reaches",
    "locality-failover",
    "progressive-rollout",
    "protect-a-service",
    "rotate-certificates",
    "run-with-systemd",
    "tcp-and-tls-routes",
    "two-control-planes",
    "upgrade",
)
"""Guides whose subject has integration tests of its own; word by word they are followed with the long tests."""


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def _marked(listed: list[Path]) -> list[Any]:
    return [pytest.param(page, marks=pytest.mark.long if page.stem in FOLLOWED_ELSEWHERE else ()) for page in listed]


def _yaml_blocks() -> list[tuple[Path, Block]]:
    return [(page, block) for page in pages() for block in blocks(page) if block.language == "yaml"]


@pytest.mark.parametrize(
    ("page", "block"), _yaml_blocks(), ids=lambda value: _name(value) if isinstance(value, Path) else str(value.line)
)
def test_yaml_is_valid(page: Path, block: Block, tmp_path: Path):
    """Every YAML example reads without a mistake."""
    if block.text.lstrip().startswith("workloads:"):
        file = tmp_path / "workloads.yaml"
        file.write_text(block.text)
        assert workloads_file.load(file, tmp_path)
        return
    loaded = load(block.text, f"{_name(page)}:{block.line}")
    assert loaded.documents
    assert [str(found) for found in (*loaded.violations, *validate(loaded.documents))] == []


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """A shell in a folder of its own with a mesh of its own, which is ended afterwards."""
    folder = tmp_path / "page"
    folder.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PLAIT_")}
    environment |= {"PATH": f"{VENV}:{environment['PATH']}", "PLAIT_STATE_DIR": str(tmp_path / "mesh"), "LC_ALL": "C"}
    opened = Shell(folder, environment)
    try:
        yield opened
    finally:
        opened.close()
        subprocess.run([VENV / "plait", "down"], env=environment, capture_output=True, check=False, timeout=60)


@pytest.mark.integration
@pytest.mark.timeout(240)
@pytest.mark.parametrize("page", _marked(EXECUTED), ids=_name)
def test_page_does_what_it_says(page: Path, shell: Shell, tmp_path: Path):
    """A page, followed word by word, prints what it says it prints."""
    follow(page, shell, tmp_path / "page")


def test_readme_and_tutorial_are_executed():
    """The first pages a newcomer reads are among those that are executed."""
    assert {"README.md", "docs/tutorial.md"} <= {_name(page) for page in EXECUTED}


def test_expected_output_is_compared():
    """Three dots stand for anything, other words must be there in order."""
    assert matches("NAME  PHASE\nweb ... Running", "NAME PHASE\nweb   10.0.0.1\n  Running\n")
    assert not matches("hello ...", "goodbye hello there")


@pytest.mark.parametrize(
    "page", [*pages(), *(ROOT / name for name in ("ARCHITECTURE.md", "CONTRIBUTING.md"))], ids=_name
)
def test_links_lead_somewhere(page: Path):
    """Every relative link of a page leads to a file."""
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = [found.partition("#")[0] for found in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in found]
    assert [target for target in targets if target and not (page.parent / target).exists()] == []
