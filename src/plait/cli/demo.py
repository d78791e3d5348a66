"""`plait demo`: a small shop in a mesh, and `--check`, which measures on it what the mesh promises.

In a terminal the demo starts the mesh and the shop, says what to try, shows who calls whom, and ends everything at
Ctrl-C. Without a terminal it checks and ends. `--check` uses a demo that runs and re-creates nothing that was removed
there; only if none runs does it start one, and ends it afterwards.
"""

import json
import sys
import time
from typing import Annotated

import typer

from plait.api.shapes import map_at
from plait.cli import context, demo_checks, demo_shop, options, quick_status
from plait.cli.output import note, say
from plait.cli.render import Output
from plait.errors import PlaitError

TRY = """The shop is open. Try, in another terminal:
  curl http://127.0.0.1:8080/products/1                    the shop itself, through its sidecar
  plait get workloads -n shop                              what runs
  plait top                                                who calls whom
  plait why --from shop/frontend GET http://reviews/reviews/1
  plait why --from shop/frontend POST http://payments/charges
  plait delete -n shop authorizationpolicy payments-from-orders   then: plait demo --check
  plait demo --check                                       measure what the mesh promises
"""


def demo(
    check: Annotated[
        bool, typer.Option("--check", help="Measure what the mesh promises, on the running demo.")
    ] = False,
    output: options.Format = Output.TABLE,
) -> None:
    """Run a small shop in a mesh of its own, or check it."""
    mesh = context.current()
    if check or not (sys.stdout.isatty() and sys.stdin.isatty()):
        raise typer.Exit(_check(mesh, output))
    _show(mesh)


def _ensure(mesh: context.Mesh) -> tuple[bool, bool]:
    """Start what does not run; returns whether the mesh, and whether the shop, was started here."""
    started_mesh = not demo_shop.mesh_runs(mesh)
    if started_mesh:
        note("starting a mesh ...")
        demo_shop.start_mesh(mesh)
    started_shop = not demo_shop.running(mesh)
    if started_shop:
        note("starting the shop: seven processes, each with its sidecar ...")
        demo_shop.start_shop(mesh)
    return started_mesh, started_shop


def _check(mesh: context.Mesh, output: Output) -> int:
    started = time.monotonic()
    started_mesh, started_shop = False, False
    try:
        started_mesh, started_shop = _ensure(mesh)
        observations = _observe(mesh, output)
    finally:
        _end(mesh, mesh_too=started_mesh, shop_too=started_shop)
    if output is Output.JSON:
        say(json.dumps([item.document() for item in observations], indent=2))
    broken = [item for item in observations if item.holds is False]
    unguaranteed = [item for item in observations if item.holds is None]
    note(
        f"{len(observations) - len(broken) - len(unguaranteed)} of {len(observations)} observations hold"
        f"{f', {len(unguaranteed)} not guaranteed in this capture mode' if unguaranteed else ''}"
        f" ({time.monotonic() - started:.0f} s)"
    )
    return 1 if broken else 0


def _observe(mesh: context.Mesh, output: Output) -> list[demo_checks.Observation]:
    status = quick_status.fetch(mesh.run_dir / "api.sock") or {}
    capture = map_at(status, "capture")
    transparent = capture.get("mode") == "transparent"
    if output is not Output.JSON:
        for limit in capture.get("limits") or ():
            say(f"limit of {capture.get('mode')} capture: {limit}")
    found: list[demo_checks.Observation] = []
    for item in demo_checks.observe(mesh, transparent=transparent):
        found.append(item)
        if output is not Output.JSON:
            verdict = {True: "holds ", False: "BROKEN", None: "n/a   "}[item.holds]
            say(f"{verdict} {item.name}\n       expected {item.expected}\n       measured {item.measured}")
            sys.stdout.flush()
    return found


def _end(mesh: context.Mesh, *, mesh_too: bool, shop_too: bool) -> None:
    try:
        if mesh_too:
            demo_shop.stop(mesh)
        elif shop_too:
            demo_shop.plait_command(mesh, "stop", "-n", demo_shop.NAMESPACE, within=90)
    except PlaitError as error:
        note(f"the demo could not be ended: {error.problem}")


def _show(mesh: context.Mesh) -> None:
    started_mesh, started_shop = _ensure(mesh)
    say(TRY)
    say("Ctrl-C ends the demo." if started_mesh or started_shop else "Ctrl-C leaves the demo running, as it was found.")
    try:
        while True:
            time.sleep(5)
            sys.stdout.write(demo_shop.plait_command(mesh, "top", "--once"))
            sys.stdout.flush()
    except KeyboardInterrupt:
        say("")
    finally:
        _end(mesh, mesh_too=started_mesh, shop_too=started_shop)
