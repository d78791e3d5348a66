"""`plait run`: start a command inside the mesh, as if it were started here.

The node agent does the work; this client hands it the run spec, its standard streams and its signals, and returns the
command's own exit code.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plait.cli import arguments, context, specs
from plait.cli.errors import UsageError

EXAMPLE = "plait run --name web --service web:80 --port 8000 -- python3 -m http.server 8000"

EPILOG = f"""Example:
  {EXAMPLE}

The command starts once its sidecar is ready, and its exit code is passed on. Codes of plait itself are 125 (could not
do it), 126 (the command cannot be executed) and 127 (there is no such command)."""


def build_parser() -> arguments.Parser:
    """The parser of `plait run`."""
    parser = arguments.parser("run", "Run a command inside the mesh, with a sidecar of its own.", EPILOG)
    parser.usage = "plait run [OPTIONS] -- COMMAND..."
    _add_identity(parser)
    _add_traffic(parser)
    _add_manner(parser)
    return parser


def _add_identity(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("who it is")
    group.add_argument("--name", metavar="N", help="name of the workload (default: one is made up)")
    arguments.add_namespace(group)
    group.add_argument("--labels", metavar="K=V,...", action="append", default=[], help="labels, for selectors")
    group.add_argument("--service-account", metavar="SA", help="whose identity it has (default: default)")
    group.add_argument("--locality", metavar="R/Z", help="where it runs: REGION/ZONE (default: the machine's)")
    group.add_argument("--user", metavar="U", help="user it runs as (default: you)")


def _add_traffic(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what it serves and reaches")
    group.add_argument(
        "--service", metavar="S[:PORT]", action="append", default=[], dest="services", help="service it belongs to"
    )
    group.add_argument(
        "--port", metavar="[NAME:]NUMBER[/PROTOCOL]", action="append", default=[], dest="ports",
        help="port the app listens on",
    )  # fmt: skip
    group.add_argument("--probe", metavar="P", help="how to know it is ready: http:/PATH, tcp, grpc or exec:COMMAND")
    group.add_argument(
        "--publish", metavar="[HOST:]PORT[:APP]", action="append", default=[],
        help="open a port of the app on this machine's loopback, through the sidecar",
    )  # fmt: skip
    group.add_argument(
        "--host-port", metavar="P", action="append", default=[], dest="host_ports",
        help="let the app reach this one port of the machine's loopback",
    )  # fmt: skip
    group.add_argument(
        "--capture", default="auto", metavar="HOW", help="auto (default), transparent (needs root) or explicit"
    )


def _add_manner(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how it is run")
    group.add_argument("--detach", action="store_true", help="come back once it runs, and leave it running")
    group.add_argument("--ready-file", metavar="F", type=Path, help="write this file once the workload is ready")


def main(words: Sequence[str]) -> int:
    """Run `plait run`."""
    flags, command = arguments.required_command(words, EXAMPLE)
    options = build_parser().parse_args(flags)
    spec = spec_of(options, command)

    from plait.node import client

    mesh = context.current()
    return client.run(mesh.node_socket, spec, detach=options.detach, ready_file=options.ready_file)


def spec_of(options: argparse.Namespace, command: Sequence[str]) -> dict[str, Any]:
    """The run spec that flags describe; raises UsageError with every mistake."""
    spec = {
        "name": options.name or specs.invented_name(options.services, command, os.getpid()),
        "namespace": options.namespace,
        "services": options.services,
        "labels": labels_of(options.labels),
        "serviceAccount": options.service_account or "",
        "ports": options.ports,
        "probe": options.probe or "",
        "publish": options.publish,
        "hostPorts": options.host_ports,
        "locality": options.locality or "",
        "user": options.user or "",
        "capture": options.capture,
        "command": list(command),
        "env": dict(os.environ),
        "workingDirectory": str(Path.cwd()),
    }
    given = {name: value for name, value in spec.items() if value not in ("", [], {})}
    if found := list(specs.mistakes(given)):
        problems = "; ".join(f"{specs.flag(mistake.path)}: {mistake.problem}" for mistake in found)
        raise UsageError(problems, "; ".join(dict.fromkeys(mistake.remedy for mistake in found)))
    return specs.normal(given)


def labels_of(texts: Sequence[str]) -> dict[str, str]:
    """Labels from `k=v,k=v` texts."""
    pairs = [pair for text in texts for pair in text.split(",") if pair]
    for pair in pairs:
        if "=" not in pair:
            raise UsageError(f"--labels: {pair!r} is no label", "write KEY=VALUE,KEY=VALUE")
    return {key: value for key, _, value in (pair.partition("=") for pair in pairs)}
