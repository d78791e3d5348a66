"""The first page of the reference: a list of all the others."""

from collections.abc import Mapping

from plait.resources.registry import KINDS
from reference_pages.markdown import page, table


def pages(made: Mapping[str, str]) -> dict[str, str]:
    """index.md."""
    commands = sorted(name for name in made if name.startswith("commands/") and name != "commands/plait.md")
    schemas = sorted(name for name in made if name.startswith("schemas/"))
    return {
        "index.md": page(
            "Reference",
            "Made from the code, so it says what the code does.",
            "- [Settings](settings.md)\n- [API](api.md)\n- [Annotations](annotations.md)\n"
            "- [Messages of plait analyze](analysis.md)\n- [Errors](errors.md)\n"
            "- [metadata](kinds/metadata.md) of every object\n- [Kinds that are only stored](kinds/stored.md)\n"
            "- [Glossary](../glossary.md)",
            "## Commands",
            "[plait](commands/plait.md), " + ", ".join(f"[{_stem(name)}]({name})" for name in commands),
            "## Kinds",
            table(("Kind", "Group", "What the mesh does with it"), _kinds()),
            "## Schemas of `-o json`",
            "Fields are added, never changed.",
            ", ".join(f"[{_stem(name)}]({name})" for name in schemas),
        )
    }


def _stem(name: str) -> str:
    return name.rpartition("/")[2].rpartition(".")[0]


def _kinds() -> list[list[str]]:
    return [
        [
            f"[{kind.kind}](kinds/{kind.page}.md)",
            kind.group or "(core)",
            "acts on it" if kind.effective else "checks and stores it",
        ]
        for kind in KINDS
        if kind.model
    ]
