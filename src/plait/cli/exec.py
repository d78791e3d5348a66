"""`plait exec`: another command in the place and with the identity of a running workload."""

import os
from collections.abc import Sequence
from pathlib import Path

from plait.cli import arguments, context

EXAMPLE = "plait exec web -- curl -s http://reviews/"


def build_parser() -> arguments.Parser:
    """The parser of `plait exec`."""
    parser = arguments.parser(
        "exec", "Run another command in the place and with the identity of a workload.", f"Example:\n  {EXAMPLE}"
    )
    parser.usage = "plait exec WORKLOAD [-n NS] -- COMMAND..."
    parser.add_argument("workload", metavar="WORKLOAD", help="a workload that runs on this machine")
    arguments.add_namespace(parser)
    return parser


def main(words: Sequence[str]) -> int:
    """Run `plait exec`."""
    flags, command = arguments.required_command(words, EXAMPLE)
    options = build_parser().parse_args(flags)

    from plait.node import client

    request = {"command": command, "env": dict(os.environ), "workingDirectory": str(Path.cwd())}
    return client.execute(context.current().node_socket, options.namespace, options.workload, request)
