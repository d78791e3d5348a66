"""`plait telemetry`: not part of this release, and said so."""

from collections.abc import Sequence

from plait.cli import arguments
from plait.errors import RefusedError


def main(words: Sequence[str]) -> int:
    """Say that traces and logs come in a later release."""
    arguments.parser("telemetry", "Collect traces and logs. Not in this release yet.").parse_args(list(words))
    raise RefusedError(
        "this release has no telemetry process: traces and logs come in a later one",
        "rates, errors and durations are there already: `plait top`, and metrics.url of `plait status` for Prometheus",
    )
