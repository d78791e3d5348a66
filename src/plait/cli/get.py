"""`plait get`: objects of the mesh, and the workloads that run in it."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from plait.cli import context, kinds, options
from plait.cli.output import note
from plait.cli.render import Column, Output, column, pick, show_rows, show_table, show_value, text
from plait.errors import NotFoundError

if TYPE_CHECKING:
    from plait.api.client import Client


def get(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="workloads, services, httproutes, ...")],
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Only this one.")] = None,
    *,
    namespace: options.Namespace = "default",
    everywhere: options.AllNamespaces = False,
    output: options.Format = Output.TABLE,
) -> None:
    """Show objects of the mesh; `plait get workloads` shows what runs in it."""
    with context.current().client() as client:
        if kind in ("workload", "workloads", "wl"):
            rows = workloads(client, None if everywhere else namespace, name)
            _show_workloads(rows, one=name is not None, everywhere=everywhere, output=output)
            return
        place = kinds.place(kind, client)
        path = place.path(None if everywhere else namespace, name or "")
        if output in (Output.JSON, Output.YAML):
            show_value(client.get(path), output)
        else:
            show_server_table(client.table(path), output, everywhere=everywhere and place.namespaced)


def workloads(client: "Client", namespace: str | None, name: str | None) -> list[Mapping[str, Any]]:
    """Workloads of a namespace (None: all); raises NotFoundError for a name that is not there."""
    rows: list[Mapping[str, Any]] = [
        row for row in client.workloads() if namespace in (None, row["namespace"]) and name in (None, row["name"])
    ]
    if name and not rows:
        where = f"in the namespace {namespace}" if namespace else "in any namespace"
        raise NotFoundError(f"no workload {name!r} {where}", "see `plait get workloads -A`")
    return rows


WORKLOADS = (
    column("NAME", "name"),
    column("PHASE", "phase"),
    Column(title="READY", cell=lambda row: bool(row.get("ready"))),
    column("ADDRESS", "address"),
    Column(title="PORTS", cell=lambda row: [_port(port) for port in row.get("ports") or ()]),
    Column(title="SERVICES", cell=lambda row: [_local(name, row) for name in row.get("services") or ()]),
    Column(title="IDENTITY", cell=lambda row: str(row.get("identity") or "").partition("://")[2]),
    column("CAPTURE", "capture"),
    column("ENDPOINT", "endpoint", wide=True),
    column("NODE", "node", wide=True),
    column("LABELS", "labels", wide=True),
    column("PIDS", "pids", wide=True),
)


def _port(port: Mapping[str, Any]) -> str:
    name = f"{port['name']}:" if port.get("name") else ""
    protocol = f"/{port['protocol']}" if port.get("protocol") else ""
    return f"{name}{port['number']}{protocol}"


def _local(service: str, row: Mapping[str, Any]) -> str:
    return service.removeprefix(f"{row['namespace']}/")


def _show_workloads(rows: Sequence[Mapping[str, Any]], *, one: bool, everywhere: bool, output: Output) -> None:
    if one and not everywhere and output in (Output.JSON, Output.YAML):
        show_value(rows[0], output)
        return
    columns = ((column("NAMESPACE", "namespace"),) if everywhere else ()) + WORKLOADS
    show_rows(rows, columns, output, empty="No workloads. Start one: plait run --name hello -- COMMAND...")


def show_server_table(table: Mapping[str, Any], output: Output, *, everywhere: bool) -> None:
    """Print a table as the API made it (meta.k8s.io/v1 Table)."""
    rows: Sequence[Mapping[str, Any]] = table.get("rows") or ()
    if not rows:
        note("No objects found.")
        return
    shown = [
        Column(title=definition["name"].upper(), cell=lambda row, at=at: row["cells"][at])
        for at, definition in enumerate(table["columnDefinitions"])
        if output is Output.WIDE or not definition.get("priority")
    ]
    if everywhere:
        shown.insert(0, Column(title="NAMESPACE", cell=lambda row: text(pick(row, "object.metadata.namespace"))))
    show_table(shown, rows)
