"""`python -m conformance`: run the conformance cases of Gateway API against Plait, without Kubernetes.

usage: python -m conformance [NAME...] [--list]         (all cases without NAME; a NAME may be a beginning)

Prints what became of each case; writes build/conformance.json (all results) and build/conformance-report.yaml (the form
that Gateway API publishes). Exit code 1 if a case failed or a feature of the standard has no case.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import yaml

from bench.mesh import REPOSITORY
from conformance import report
from conformance.case import Case, all_cases
from conformance.environment import environment
from conformance.runner import Result, Runner

BUILD = REPOSITORY / "build"


def main(words: Sequence[str]) -> int:
    """Run the cases that were asked for."""
    parser = argparse.ArgumentParser(prog="conformance", description="Gateway API's conformance, without Kubernetes.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="cases to run, by the beginning of their names")
    parser.add_argument("--list", action="store_true", help="only list the cases")
    options = parser.parse_args(words)
    everything = all_cases()
    cases = [case for case in everything if case.name.startswith(tuple(options.names) or "")]
    if options.list:
        sys.stdout.writelines(f"{case.name:60} {' '.join(case.features)}\n" for case in cases)
        return 0
    results = run(cases)
    missing = report.uncovered(feature for case in everything for feature in case.features)
    write(results, missing)
    failed = [result for result in results if not result.passed]
    sys.stdout.write(f"{len(results) - len(failed)} passed, {len(failed)} failed\n")
    if missing and not options.names:
        sys.stdout.write(f"without a case: {', '.join(missing)}\n")
    return 1 if failed or (missing and not options.names) else 0


def run(cases: Sequence[Case]) -> list[Result]:
    """Run them in a mesh of their own; each is told as it ends."""
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="plait-conformance-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        with environment(Path(folder) / "mesh") as place:
            runner = Runner(place)
            for case in cases:
                results.append(runner.run(case))
                _tell(results[-1])
    return results


def _tell(result: Result) -> None:
    sys.stdout.write(f"{'passed' if result.passed else 'FAILED'}  {result.case.name} ({result.seconds} s)\n")
    sys.stdout.writelines(f"        {problem}\n" for problem in result.problems)
    sys.stdout.flush()


def write(results: Sequence[Result], missing: Sequence[str]) -> None:
    """Write the results and the report."""
    BUILD.mkdir(exist_ok=True)
    rows = [
        {
            "name": result.case.name,
            "features": list(result.case.features),
            "passed": result.passed,
            "seconds": result.seconds,
            "problems": list(result.problems),
        }
        for result in results
    ]
    (BUILD / "conformance.json").write_text(json.dumps({"cases": rows, "uncovered": list(missing)}, indent=1) + "\n")
    (BUILD / "conformance-report.yaml").write_text(yaml.safe_dump(report.report(results), sort_keys=False))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
