"""`plait start`: many run specs from one file, under one supervisor."""

import os
from collections.abc import Sequence
from pathlib import Path

from plait.cli import arguments, context

EPILOG = """The file:
  workloads:
  - name: reviews-v1
    services: [reviews:80]
    labels: {version: v1}
    ports: [8080/http]
    probe: http:/healthz
    command: [python3, reviews.py]

Fields are the flags of `plait run`: name, namespace, services, labels, serviceAccount, ports, probe, publish,
hostPorts, locality, user, capture, command, env, workingDirectory (relative to the file)."""


def build_parser() -> arguments.Parser:
    """The parser of `plait start`."""
    parser = arguments.parser("start", "Start many workloads from a file, and end them together.", EPILOG)
    parser.add_argument("-f", "--file", required=True, type=Path, metavar="WORKLOADS.yaml", help="`-`: standard input")
    parser.add_argument("--detach", action="store_true", help="come back once all of them run, and leave them running")
    return parser


def main(words: Sequence[str]) -> int:
    """Run `plait start`."""
    options = build_parser().parse_args(list(words))

    from plait.cli import workloads_file

    folder = Path.cwd() if str(options.file) == "-" else options.file.absolute().parent
    specs = [
        {**spec, "env": {**os.environ, **spec.get("env", {})}} for spec in workloads_file.load(options.file, folder)
    ]

    from plait.node import client

    return client.start(context.current().node_socket, specs, detach=options.detach)
