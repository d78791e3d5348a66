"""`plait node`: the node agent of this machine by itself, for a systemd unit or behind `plait up`."""

from collections.abc import Sequence

from plait.cli import arguments, context, pids, up
from plait.cli.errors import UsageError

EPILOG = """Beside a control plane of this machine nothing need be said. On another machine, once:
  plait token create --node NAME --allow default/web       (there)
  plait node --join TOKEN --control ADDRESS                (here)

Each option may be given as a variable too: PLAIT_JOIN, PLAIT_CONTROL, PLAIT_ADDRESS, PLAIT_NAME, PLAIT_LOCALITY."""


def build_parser() -> arguments.Parser:
    """The parser of `plait node`."""
    parser = arguments.parser("node", "Run the node agent: it starts workloads and their sidecars.", EPILOG)
    parser.add_argument("--join", metavar="TOKEN", help="join a mesh; needed once, the identity is kept and renewed")
    parser.add_argument("--control", metavar="ADDR", help="where control is: HOST or HOST:PORT[,...]")
    parser.add_argument(
        "--address", metavar="ADDR", help="where other machines reach this one (default: the way to control)"
    )
    parser.add_argument("--name", metavar="N", help="name of this machine (default: its host name)")
    parser.add_argument("--locality", metavar="R/Z", help="where this machine is: REGION/ZONE")
    return parser


def main(words: Sequence[str]) -> int:
    """Run `plait node`."""
    options = build_parser().parse_args(list(words))
    mesh = context.current()
    joined = (mesh.state_dir / "node").exists()
    if options.control and not options.join and not mesh.environment.get("PLAIT_JOIN") and not joined:
        raise UsageError(
            "to join a mesh on another machine a token is needed", "make one there: plait token create --node NAME"
        )
    up.prepare(mesh.state_dir)

    from plait.node import run, settings

    with pids.registered(mesh.run_dir / "node.pid"):
        return run.main(settings.load(mesh.environment, state_dir=mesh.state_dir, **vars(options))) or 0
