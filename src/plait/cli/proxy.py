"""`plait proxy`: the Envoys of the mesh, what each holds, what it says, and how another takes its place."""

import contextlib
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from plait.cli import context, options, proxy_upgrade
from plait.cli.output import note, say
from plait.cli.render import Column, Output, Row, column, show_rows, show_value
from plait.cli.why import where
from plait.errors import ForbiddenError, NotFoundError, PlaitError, UnreachableError

group = typer.Typer(help="The proxies of the mesh: list, config, logs, upgrade.", rich_markup_mode=None)
group.command("upgrade")(proxy_upgrade.upgrade)


def _state(row: Row) -> str:
    if row.get("refused"):
        return "refused"
    if not row.get("connected"):
        return "disconnected"
    return "synced" if row.get("synced") else "behind"


PROXIES = (
    column("NAMESPACE", "namespace"),
    column("NAME", "name"),
    column("KIND", "kind"),
    Column(title="STATE", cell=_state),
    column("NODE", "node"),
    column("RESOURCES", "resources", right=True),
    Column(title="REFUSED", cell=lambda row: [refusal["type"] for refusal in row.get("refused") or ()], wide=True),
)


@group.command("list")
def list_proxies(output: options.Format = Output.TABLE) -> None:
    """List the proxies: whether each is connected and holds its newest configuration."""
    with context.current().client() as client:
        rows: list[Mapping[str, Any]] = list(client.proxies())
    show_rows(rows, PROXIES, output, empty="No proxies. Start a workload: plait run --name hello -- COMMAND...")
    if output in (Output.TABLE, Output.WIDE):
        for row in rows:
            for refusal in row.get("refused") or ():
                place = where(refusal.get("source"))
                note(f"{row['namespace']}/{row['name']} refused {refusal['type']}: {refusal['message']}"
                     f"{f'  [{place}]' if place else ''}")  # fmt: skip
        _note_old()


def _note_old() -> None:
    from plait.node import client

    with contextlib.suppress(PlaitError, OSError):  # the mesh's proxies are listed on machines without an agent too
        proxy_upgrade.note_old(client.ask(context.current().node_socket, {"do": "list"})["workloads"])


@group.command("config")
def config(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the workload or gateway.")],
    namespace: options.Namespace = "default",
    output: options.Format = Output.JSON,
) -> None:
    """Show the whole configuration that a proxy holds."""
    with context.current().client() as client:
        value = client.proxy_config(namespace, name)
    show_value(value, Output.JSON if output in (Output.TABLE, Output.WIDE) else output)


@group.command("logs")
def logs(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the workload or gateway.")],
    namespace: options.Namespace = "default",
    lines: Annotated[int, typer.Option("--tail", metavar="N", help="Only the last N lines; 0: all.")] = 100,
) -> None:
    """Show what the proxy of a workload of this machine wrote to its log."""
    from plait.node import client

    mesh = context.current()
    try:
        answer = client.ask(mesh.node_socket, {"do": "logs", "namespace": namespace, "name": name})
        found = str(answer.get("proxy", "")).splitlines()
    except (UnreachableError, NotFoundError):  # no agent, or the workload has ended: its last log is still there
        found = _written(mesh, namespace, name)
    for line in found[-lines:] if lines else found:
        say(line)


def _written(mesh: context.Mesh, namespace: str, name: str) -> list[str]:
    from plait.model.ids import ObjectName
    from plait.node.state import NodeDirectory

    file = NodeDirectory(mesh.state_dir).workload(ObjectName(namespace=namespace, name=name)).envoy_log
    try:
        return file.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        raise NotFoundError(
            f"no proxy of {namespace}/{name} has run on this machine",
            "see the NODE of `plait get workloads -A -o wide`",
        ) from None
    except PermissionError:
        raise ForbiddenError(f"{file} may not be read by you", "ask the owner of the mesh") from None
