"""A page for every kind with a model, and one list of those that are only stored."""

from pathlib import Path

from plait.resources.kind import Kind
from plait.resources.registry import KINDS
from reference_pages import fields
from reference_pages.markdown import block, code, page, table

NOTES = Path(__file__).parent / "notes"
_COMMON = frozenset({"ObjectMeta", "OwnerReference"})


def pages() -> dict[str, str]:
    """Pages below kinds/."""
    made = {f"kinds/{kind.page}.md": _page(kind) for kind in KINDS if kind.model}
    made["kinds/stored.md"] = _stored()
    made["kinds/metadata.md"] = _metadata()
    return made


def _page(kind: Kind) -> str:
    assert kind.model is not None  # noqa: S101
    schema = kind.model.model_json_schema(by_alias=True)
    note = NOTES / f"{kind.page}.md"
    written = note.read_text(encoding="utf-8") if note.is_file() else ""
    summary = kind.model.__doc__ or ""
    return page(
        kind.kind,
        summary,
        f"**{_sentence(kind.note)}**" if kind.note else "",
        table(("", ""), _facts(kind)),
        written,
        "## Fields",
        "`metadata` is the same for every kind: see [metadata](metadata.md). `status` is written by the mesh.",
        *fields.sections(schema, leave_out=_COMMON),
    )


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _facts(kind: Kind) -> list[list[str]]:
    group = kind.group or "(core)"
    names = [kind.plural, kind.singular or kind.kind.lower(), *kind.short_names]
    return [
        ["apiVersion", ", ".join(code(f"{kind.group}/{v}" if kind.group else v) for v in kind.versions)],
        ["Group", code(group)],
        ["Names on the command line", ", ".join(code(name) for name in dict.fromkeys(names))],
        ["Namespaced", "yes" if kind.namespaced else "no"],
        ["Status", "yes" if kind.has_status else "no"],
    ]


def _stored() -> str:
    rows = [
        [kind.kind, code(kind.api_version), ", ".join(code(name) for name in (kind.plural, *kind.short_names))]
        for kind in KINDS
        if kind.stored_only
    ]
    return page(
        "Kinds that are only stored",
        "The API takes these kinds so that whole sets of YAML can be applied. The mesh does not act on them and says so"
        " when one is applied. Kinds of groups that Plait does not know are stored in the same way.",
        block("deployment/web stored\n  note: stored; Plait does not run Deployment objects"),
        table(("Kind", "apiVersion", "Names"), rows),
    )


def _metadata() -> str:
    kind = next(kind for kind in KINDS if kind.model)
    assert kind.model is not None  # noqa: S101
    known = kind.model.model_json_schema(by_alias=True)["$defs"]
    return page(
        "metadata",
        "Every object has a name, and most have a namespace, labels and annotations. A namespace must exist before an"
        " object can be in it; `default`, `istio-system` and `plait-system` always do."
        " Annotations of Plait are listed in [annotations](../annotations.md).",
        "## Fields",
        fields.fields_table(known["ObjectMeta"]),
        "### OwnerReference",
        fields.fields_table(known["OwnerReference"]),
    )
