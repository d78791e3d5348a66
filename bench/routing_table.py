"""What a long routing table costs: a request that only the last of 1,000 rules of its host matches.

Two Services lead to the same app; one has the rules, the other none. The same client calls both through the same two
sidecars, in turn, round after round; the ratio is that of the two readings of a round.
"""

import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from bench import calls, plait_paths, upstream
from bench.calls import Call
from bench.cells import Cell
from bench.mesh import Mesh
from bench.paths import PathUnderTest
from bench.rows import Row, quartiles
from bench.traffic import ROUNDS_OF_A_PROCESS, Round, read_round

RULES: Final = 1000
IN_ONE_ROUTE: Final = 16
"""The most rules that the standard allows an HTTPRoute."""
MOST: Final = 1.10
CALL: Final = Call(protocol=calls.HTTP1)
ROUNDS: Final = 12
LONG: Final = "long-table"
PLAIN: Final = "no-table"
APP: Final = "table"


def rows(mesh: Mesh, folder: Path, *, rounds: int = ROUNDS) -> list[Row]:
    """Measure with and without the table."""
    cell = Cell(call=CALL, paths=(), rounds=rounds)
    plain, long = _paths(mesh, folder)
    found: list[tuple[Round, Round]] = []
    for number in range(cell.rounds):
        if number % ROUNDS_OF_A_PROCESS == 0:
            plain.restart(CALL.protocol)
            for path in (plain, long):
                path.prepare(CALL)
        read = {path.name: read_round(path, cell) for path in ((plain, long) if number % 2 else (long, plain))}
        found.append((read[PLAIN], read[LONG]))
    return list(of_rounds(found))


def of_rounds(found: Sequence[tuple[Round, Round]]) -> Iterator[Row]:
    """The rows of rounds, each without and with the table."""
    paced = [(plain.paced, long.paced) for plain, long in found if plain.kept_up and long.kept_up]
    saturated = [(plain.saturated, long.saturated) for plain, long in found]
    title = f"routing table of {RULES:,} rules in one host"
    p50 = [(plain.outcome.p50, long.outcome.p50) for plain, long in paced]
    yield _row(f"{title}: p50, fixed rate", p50, "ms", most=MOST)
    yield _row(f"{title}: CPU a request, fixed rate", [(plain.cpu, long.cpu) for plain, long in paced], "us")
    yield _row(f"{title}: p50, saturated", [(plain.outcome.p50, long.outcome.p50) for plain, long in saturated], "ms")
    yield _row(f"{title}: CPU a request, saturated", [(plain.cpu, long.cpu) for plain, long in saturated], "us")
    failed = sum(reading.outcome.failed for pair in (*paced, *saturated) for reading in pair)
    yield Row(name=f"{title}: requests that failed", value=failed, unit="", must="0", holds=failed == 0)


def _row(name: str, pairs: Sequence[tuple[float, float]], unit: str, *, most: float | None = None) -> Row:
    must = f"ratio < {most}" if most else ""
    if not pairs:
        return Row(name=name, value=0, unit=unit, must=must, spread="no round kept up: machine too busy")
    ratios = [long / plain for plain, long in pairs]
    ratio = statistics.median(ratios)
    return Row(
        name=name,
        value=statistics.median(long for _, long in pairs),
        unit=unit,
        baseline=f"without {statistics.median(plain for plain, _ in pairs):.4g}",
        ratio=ratio,
        spread=quartiles(ratios),
        must=must,
        holds=ratio < most if most else None,
    )


def documents() -> Iterator[dict[str, Any]]:
    """Both Services, and the rules of one: the shortest prefix, the last in the order of the standard, is that of the
    call."""
    for name in (PLAIN, LONG):
        yield {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {
                "selector": {"app": APP},
                "ports": [
                    {
                        "name": "http",
                        "port": CALL.protocol.port,
                        "targetPort": CALL.protocol.app_port,
                        "appProtocol": CALL.protocol.known_as,
                    }
                ],
            },
        }
    prefixes = [f"/part-{number:04}" for number in range(RULES - 1)] + [CALL.path]
    for begin in range(0, RULES, IN_ONE_ROUTE):
        yield _route(begin // IN_ONE_ROUTE, prefixes[begin : begin + IN_ONE_ROUTE])


def _route(number: int, prefixes: Sequence[str]) -> dict[str, Any]:
    rules = [
        {
            "matches": [{"path": {"type": "PathPrefix", "value": prefix}}],
            "backendRefs": [{"name": LONG, "port": CALL.protocol.port}],
        }
        for prefix in prefixes
    ]
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": f"{LONG}-{number}", "namespace": "default"},
        "spec": {"parentRefs": [{"group": "", "kind": "Service", "name": LONG}], "rules": rules},
    }


def _paths(mesh: Mesh, folder: Path) -> tuple[PathUnderTest, PathUnderTest]:
    mesh.apply(list(documents()))
    app = upstream.command(folder / "plait-table")
    mesh.plait("run", "--detach", "--name", APP, "--labels", f"app={APP}", "--port", str(CALL.protocol.app_port),
               "--probe", "tcp", "--", *app)  # fmt: skip
    client = f"client-{APP}"
    mesh.plait("run", "--detach", "--name", client, "--", "sleep", "100000")
    plain, long = (plait_paths.between(mesh, client=client, server=APP, service=name) for name in (PLAIN, LONG))
    return plain, long
