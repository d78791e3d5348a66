"""`plait delete`: remove objects from the mesh."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from plait.cli import context, documents, kinds, options
from plait.cli.errors import UsageError
from plait.cli.fields import part
from plait.cli.output import note, say
from plait.errors import NotFoundError

if TYPE_CHECKING:
    from plait.api.client import Client


def delete(
    kind: Annotated[str | None, typer.Argument(metavar="[KIND]", help="services, httproutes, ...")] = None,
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="What to delete.")] = None,
    *,
    files: Annotated[
        list[Path] | None, typer.Option("-f", "--file", metavar="PATH", help="Delete what is in these files.")
    ] = None,
    namespace: options.Namespace = "default",
    ignore_missing: Annotated[
        bool, typer.Option("--ignore-not-found", help="What does not exist is no error.")
    ] = False,
) -> None:
    """Delete objects by kind and name, or all that stand in files."""
    if bool(files) == bool(kind):
        raise UsageError("say what to delete", "write `plait delete KIND NAME...` or `plait delete -f PATH`")
    if kind and not names:
        raise UsageError(f"no {kind} named", "write `plait delete KIND NAME...`")
    with context.current().client() as client:
        targets = _in_files(client, files, namespace) if files else _named(client, str(kind), names or [], namespace)
        missing = [label for label, path in targets if not _delete(client, label, path)]
    if missing and not ignore_missing:
        raise NotFoundError(f"not there: {', '.join(missing)}", "see `plait get KIND -A`, or use --ignore-not-found")


def _named(client: "Client", kind: str, names: list[str], namespace: str) -> list[tuple[str, str]]:
    place = kinds.place(kind, client)
    return [(f"{place.kind.lower()}/{name}", place.path(namespace, name)) for name in names]


def _in_files(client: "Client", files: list[Path], namespace: str) -> list[tuple[str, str]]:
    """What the files hold, last first, so that what refers to something goes before it."""
    found = list[tuple[str, str]]()
    for document in documents.read_correct(files, None):
        value: dict[str, Any] = document.value
        group = str(value.get("apiVersion", "")).rpartition("/")[0]
        place = kinds.place(f"{value.get('kind', '')}.{group}" if group else str(value.get("kind", "")), client)
        metadata = part(value, "metadata")
        where = metadata.get("namespace") or namespace
        found.append((documents.label(value), place.path(where, str(metadata.get("name", "")))))
    return found[::-1]


def _delete(client: "Client", label: str, path: str) -> bool:
    try:
        client.delete(path)
    except NotFoundError:
        note(f"{label} is not there")
        return False
    say(f"{label} deleted")
    return True
