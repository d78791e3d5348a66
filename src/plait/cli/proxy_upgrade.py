"""`plait proxy upgrade`: another Envoy takes over from each proxy of this machine, one after the other."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from plait.cli import context
from plait.cli.output import note, say
from plait.errors import NotFoundError, PlaitError

_RUNNING = "Running"


def upgrade(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME...]", help="Workloads or gateways of this machine; none: all.")
    ] = None,
    namespace: Annotated[
        str, typer.Option("-n", "--namespace", metavar="NS", help="Namespace of the names; without names, only it.")
    ] = "",
    force: Annotated[
        bool, typer.Option("--force", help="Replace proxies that run this machine's Envoy already, too.")
    ] = False,
) -> None:
    """Replace the Envoys of running workloads by this machine's present one, without losing a request.

    One after the other; stops at the first that cannot be replaced, whose Envoy serves on.
    """
    from plait.node import client

    mesh = context.current()
    running = client.ask(mesh.node_socket, {"do": "list"})["workloads"]
    chosen = _chosen(running, names or [], namespace)
    for at, item in enumerate(chosen):
        place = f"{item['namespace']}/{item['name']}"
        request = {"do": "upgrade", "namespace": item["namespace"], "name": item["name"], "force": force}
        try:
            changed = client.ask(mesh.node_socket, request)["changed"]
        except PlaitError:
            left = len(chosen) - at
            note(f"{place} keeps its proxy, and so {'does' if left == 1 else 'do'} {left} of {len(chosen)}")
            raise
        say(f"{place} upgraded" if changed else f"{place} runs this machine's Envoy already")
    if not chosen:
        note("No proxies run on this machine.")


def note_old(running: Sequence[Mapping[str, Any]]) -> None:
    """Say which proxies of this machine run another Envoy than a new one would."""
    old = [f"{item['namespace']}/{item['name']}" for item in running if item.get("proxyCurrent") is False]
    if old:
        note(f"Not this machine's present Envoy: {', '.join(old)}. Replace without loss: plait proxy upgrade")


def _chosen(running: Sequence[Mapping[str, Any]], names: Sequence[str], namespace: str) -> list[Mapping[str, Any]]:
    if not names:
        here = [item for item in running if namespace in ("", item["namespace"])]
        return [item for item in here if item.get("phase") == _RUNNING]
    place = namespace or "default"
    known = {item["name"]: item for item in running if item["namespace"] == place}
    for name in names:
        if name not in known:
            raise NotFoundError(f"no workload {place}/{name} runs on this machine", "see `plait get workloads`")
    return [known[name] for name in names]
