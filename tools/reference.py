"""Writes the reference pages of docs/ from the code; `--check` only tells whether they are up to date.

A page is a function from code to text (`reference_pages/`), so the same code gives the same bytes. What a person wrote
stands in `reference_pages/notes/` (kinds) and in docs/reference/errors.md outside its marked part.
"""

import argparse
import difflib
import sys
from collections.abc import Mapping
from pathlib import Path

from reference_pages import analysis, annotations, api, commands, errors, index, kinds, schemas, settings

REFERENCE = Path(__file__).parent.parent / "docs" / "reference"


def pages() -> dict[str, str]:
    """Every generated file: its path below docs/reference and its content."""
    made: dict[str, str] = {}
    for part in (kinds, commands, settings, api, schemas, annotations, analysis):
        made |= part.pages()
    made |= errors.pages(REFERENCE)
    made |= index.pages(made)
    return made


def stale(made: Mapping[str, str]) -> list[str]:
    """What differs between the files and what they should be, as text."""
    found: list[str] = []
    for name, content in sorted(made.items()):
        path = REFERENCE / name
        now = path.read_text(encoding="utf-8") if path.is_file() else ""
        if now != content:
            lines = difflib.unified_diff(now.splitlines(), content.splitlines(), name, "generated", lineterm="", n=1)
            found += list(lines)[:20]
    found += [f"{name}: nothing makes this file any more" for name in sorted(written() - made.keys())]
    return found


def written() -> set[str]:
    """The files below docs/reference."""
    return {str(path.relative_to(REFERENCE)) for path in REFERENCE.rglob("*") if path.is_file()}


def write(made: Mapping[str, str]) -> None:
    """Write every page, and remove what is no page any more."""
    for name in written() - made.keys():
        (REFERENCE / name).unlink()
    for name, content in made.items():
        path = REFERENCE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")


def main() -> int:
    """Write the pages, or compare them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="change nothing; exit code 1 when a page is not up to date"
    )
    made = pages()
    if not parser.parse_args().check:
        write(made)
        return 0
    if found := stale(made):
        sys.stderr.write("\n".join([*found, "docs/reference is not up to date; run `make docs`", ""]))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
