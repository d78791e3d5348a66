"""The sources keep the form that CONTRIBUTING.md promises, and ARCHITECTURE.md names every package in its layer."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "plait"
FILES = sorted(PACKAGE.rglob("*.py"))
MOST_LINES = 300
MOST_LINES_OF_A_FUNCTION = 60
SAYS_NOTHING = re.compile(r"(^|_)(utils?|helpers?|common|managers?|misc)(_|$)")


def here(path: Path) -> str:
    """The path as messages show it."""
    return path.relative_to(ROOT).as_posix()


def functions(file: Path) -> Iterator[tuple[str, int]]:
    """Every function of a file, methods and inner ones too, with the number of its lines."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def classes(file: Path) -> Iterator[str]:
    """The name of every class of a file."""
    return (node.name for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.ClassDef))


def layers() -> list[str]:
    """The packages that import-linter holds apart, from the top layer to the bottom one."""
    settings: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts: list[dict[str, Any]] = settings["tool"]["importlinter"]["contracts"]
    (found,) = [contract["layers"] for contract in contracts if contract["name"] == "layers"]
    return [name.strip() for layer in found for name in layer.split("|")]


def documented() -> set[str]:
    """The packages of the table in ARCHITECTURE.md."""
    table = (ROOT / "ARCHITECTURE.md").read_text().partition("\n## Packages\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


def test_no_file_is_too_long():
    """A file that has grown beyond its limit does more than one thing."""
    counted = {here(file): len(file.read_text().splitlines()) for file in FILES}

    assert {name: lines for name, lines in counted.items() if lines > MOST_LINES} == {}


def test_no_function_is_too_long():
    """A function is read in one look."""
    counted = {f"{here(file)} {name}": lines for file in FILES for name, lines in functions(file)}

    assert counted, "the sources were not found"
    assert {name: lines for name, lines in counted.items() if lines > MOST_LINES_OF_A_FUNCTION} == {}


def test_every_name_of_a_module_says_what_is_in_it():
    """No utils, helpers, common or SomethingManager, which collect what has no place (a field's Manager is a word)."""
    modules = [file.parent.name if file.stem == "__init__" else file.stem for file in FILES]

    assert [name for name in modules if SAYS_NOTHING.search(name)] == []
    assert [f"{here(file)} {name}" for file in FILES for name in classes(file) if re.search(r"\wManager$", name)] == []


@pytest.mark.parametrize("file", [file for file in FILES if file.name == "__init__.py"], ids=here)
def test_every_package_states_its_role(file: Path):
    """A package opens with at least one whole sentence, and holds no code that importing it would run."""
    tree = ast.parse(file.read_text())
    text = ast.get_docstring(tree) or ""

    assert re.match(r"\S+(\s+\S+){3,}.*?\.(\s|$)", text, re.DOTALL), (
        f"{here(file)} does not say what the package is for"
    )
    assert [node for node in tree.body[1:] if not isinstance(node, ast.Assign)] == []


def test_every_package_has_its_layer():
    """A package that no layer names could import anything."""
    packages = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}

    assert packages - {"__init__"} == set(layers())


def test_every_layer_is_documented():
    """ARCHITECTURE.md tells what each package knows, and names none that does not exist."""
    assert documented() == set(layers())


def test_the_limits_here_are_those_of_the_style():
    """CONTRIBUTING.md promises no other length of files than the one that is checked."""
    assert f"Files below {MOST_LINES} lines" in (ROOT / "CONTRIBUTING.md").read_text()
