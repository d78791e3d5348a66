"""`plait stop`: end workloads on this machine without losing a request."""

from collections.abc import Sequence

from plait.cli import arguments, context
from plait.cli.output import say


def build_parser() -> arguments.Parser:
    """The parser of `plait stop`."""
    parser = arguments.parser(
        "stop",
        "End workloads of this machine: callers leave first, then requests finish, then the app ends.",
        "Without a name, all workloads of the namespace end.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="workloads to end")
    arguments.add_namespace(parser)
    return parser


def main(words: Sequence[str]) -> int:
    """Run `plait stop`."""
    options = build_parser().parse_args(list(words))

    from plait.node import client

    stopped = client.stop(context.current().node_socket, names=options.names, namespace=options.namespace)
    for name in stopped:
        say(f"{name} stopped")
    if not stopped:
        say(f"No workload runs here in the namespace {options.namespace}.")
    return 0
