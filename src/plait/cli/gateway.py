"""`plait gateway`: run the proxy of a Gateway on this machine."""

from collections.abc import Sequence
from pathlib import Path

from plait.cli import arguments, context


def build_parser() -> arguments.Parser:
    """The parser of `plait gateway`."""
    parser = arguments.parser(
        "gateway",
        "Run the proxy of a Gateway, with an address of its own.",
        "The Gateway itself is an object: write it in YAML and `plait apply` it. Its address is in its status.\n"
        "Without root it shares this machine's loopback; the annotation plait.dev/ports tells which port became which.",
    )
    parser.add_argument("name", metavar="NAME", help="name of the Gateway")
    arguments.add_namespace(parser)
    parser.add_argument("--detach", action="store_true", help="come back once it is ready, and leave it running")
    parser.add_argument("--ready-file", metavar="F", type=Path, help="write this file once the gateway is ready")
    return parser


def main(words: Sequence[str]) -> int:
    """Run `plait gateway`."""
    options = build_parser().parse_args(list(words))

    from plait.node import client

    return client.gateway(
        context.current().node_socket,
        options.namespace,
        options.name,
        detach=options.detach,
        ready_file=options.ready_file,
    )
