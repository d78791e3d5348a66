"""`plait control`: the control plane by itself, for a systemd unit or behind `plait up`."""

from collections.abc import Sequence

from plait.cli import arguments, context, pids, up


def build_parser() -> arguments.Parser:
    """The parser of `plait control`."""
    parser = arguments.parser(
        "control",
        "Run the control plane: API, certificate authority, configuration of the sidecars.",
        "Each option may be given as a variable too: PLAIT_LISTEN, PLAIT_TRUST_DOMAIN, PLAIT_CA_CERT, PLAIT_CA_KEY,\n"
        "PLAIT_PERMISSIVE, PLAIT_LEAF_TTL (how long workloads' certificates live, 24h).",
    )
    up.add_control_options(parser)
    return parser


def main(words: Sequence[str]) -> int:
    """Run `plait control`; what no option says is taken from the environment by the settings themselves."""
    options = build_parser().parse_args(list(words))
    up.check_authority(options)
    mesh = context.current()
    up.prepare(mesh.state_dir)
    flags = {name: value for name, value in vars(options).items() if value}

    from plait.controlplane import settings
    from plait.controlplane.run import main as run_control

    with pids.registered(mesh.run_dir / "control.pid"):
        return run_control(settings.load(mesh.state_dir, **flags)) or 0
