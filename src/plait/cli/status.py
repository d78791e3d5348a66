"""`plait status`: how the mesh is, and how to reach it."""

from collections.abc import Iterator, Mapping
from typing import Any

from plait.cli import context, options
from plait.cli.fields import part
from plait.cli.output import say
from plait.cli.render import Output, show_value, text


def status(output: options.Format = Output.TABLE) -> None:
    """Show how the mesh is: its addresses, machines, proxies, and the limits of its capture mode."""
    with context.current().client() as client:
        answer: Mapping[str, Any] = client.status()
    if output in (Output.JSON, Output.YAML):
        show_value(answer, output)
        return
    for name, value in _lines(answer):
        say(f"{name:<11}{value}".rstrip())
    for problem in answer.get("problems") or ():
        say(f"problem    {problem}")


def _lines(answer: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    api, ads, metrics = (part(answer, name) for name in ("api", "ads", "metrics"))
    yield "mesh", f"{'ready' if answer.get('ready') else 'not ready'}, trust domain {text(answer.get('trustDomain'))}"
    yield "api", ", ".join(str(api[name]) for name in ("socket", "url") if api.get(name)) or "-"
    if api.get("kubeconfig"):
        yield "kubectl", f"KUBECONFIG={api['kubeconfig']} kubectl get services"
    yield "ads", text(ads.get("address"))
    yield "metrics", text(metrics.get("url"))
    yield "telemetry", text(answer.get("telemetry")) if answer.get("telemetry") else "not in this release"
    yield from _machines(answer)
    counts = part(answer, "proxies")
    yield "proxies", ", ".join(f"{counts.get(name, 0)} {name}" for name in ("ready", "synced", "refused"))
    yield from _capture(part(answer, "capture"))


def _machines(answer: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    here = part(answer, "node").get("name")
    machines = answer.get("nodes") or ([answer["node"]] if answer.get("node") else [])
    for machine in machines:
        state = "connected" if machine.get("connected") else "disconnected"
        place = "this machine, " if machine["name"] == here else ""
        yield "node", f"{machine['name']} ({place}{text(machine.get('address'))}, {state})"
    if not machines:
        yield "node", "none has joined"


def _capture(capture: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    reason = f" ({capture['reason']})" if capture.get("reason") else ""
    yield "capture", f"{text(capture.get('mode'))}{reason}"
    for limit in capture.get("limits") or ():
        yield "", f"limit: {limit}"
