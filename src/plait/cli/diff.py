"""`plait diff`: what `plait apply` would change, as a unified diff; exit code 1 when there is something.

The server itself says what each object would become (server-side apply, dry run), so that defaults and fields of
others show as they would be.
"""

import copy
import difflib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import typer
import yaml

from plait.cli import context, documents, kinds, options
from plait.cli.errors import ExitCode
from plait.cli.fields import part
from plait.cli.output import note, say
from plait.cli.render import Output, show_value
from plait.errors import NotFoundError
from plait.resources.parse import SOURCE_ANNOTATION

if TYPE_CHECKING:
    from plait.api.client import Client

NOISE = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp")


def diff(
    files: options.Files,
    more: options.MorePaths = None,
    namespace: options.Namespace = "default",
    output: options.Format = Output.TABLE,
) -> None:
    """Show what applying these files would change; exit code 1 when something would."""
    loaded = documents.read_correct(files, more)
    with context.current().client() as client:
        changes = [
            change
            for document in loaded
            if (change := _change(client, documents.with_source(document), namespace)) is not None
        ]
    if output in (Output.JSON, Output.YAML):
        show_value(changes, output)
    else:
        for change in changes:
            for line in _unified(change):
                say(line)
    if changes:
        raise typer.Exit(ExitCode.FOUND)
    note("No differences.")


def _change(client: "Client", value: dict[str, Any], default_namespace: str) -> dict[str, Any] | None:
    group, _, _version = str(value.get("apiVersion", "")).rpartition("/")
    kind = str(value.get("kind", ""))
    place = kinds.place(f"{kind}.{group}" if group else kind, client)
    metadata = part(value, "metadata")
    namespace = metadata.get("namespace") or default_namespace
    path = place.path(namespace, str(metadata.get("name", "")))
    try:
        before = client.get(path)
    except NotFoundError:
        before = None
    old, new = _clean(before), _clean(_would_be(client, path, value))
    if old == new:
        return None
    name = f"{namespace}/{metadata.get('name')}" if place.namespaced else metadata.get("name")
    return {"object": f"{kind} {name}", "before": old, "after": new}


def _would_be(client: "Client", path: str, value: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the server says the object becomes; the object itself where its namespace is new too."""
    query = {"dryRun": "All", "fieldManager": "plait", "force": "true"}
    headers = {"content-type": "application/apply-patch+yaml"}
    try:
        return client.request("PATCH", path, body=value, query=query, headers=headers)
    except NotFoundError:
        return value


def _clean(value: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The object without what the server keeps for itself."""
    if value is None:
        return None
    clean = copy.deepcopy(dict(value))
    clean.pop("status", None)
    metadata = part(clean, "metadata")
    for name in NOISE:
        metadata.pop(name, None)
    annotations = part(metadata, "annotations")
    annotations.pop(SOURCE_ANNOTATION, None)
    if not annotations:
        metadata.pop("annotations", None)
    return clean


def _unified(change: Mapping[str, Any]) -> Iterator[str]:
    before, after = _text(change["before"]), _text(change["after"])
    name = change["object"]
    yield from difflib.unified_diff(before, after, f"now: {name}", f"then: {name}", lineterm="")


def _text(value: Mapping[str, Any] | None) -> list[str]:
    return [] if value is None else yaml.safe_dump(value, sort_keys=True, allow_unicode=True, width=120).splitlines()
