"""`plait test`: run the MeshTests in files, without a mesh, in milliseconds.

Everything else in the files is the configuration that they are run on, beside what each MeshTest names itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plait.cli import documents, options
from plait.cli.errors import CheckError, UsageError
from plait.cli.output import counted, note, say
from plait.cli.planned import planned, with_planned, without_known
from plait.cli.render import Output, show_value
from plait.cli.reports import Case, Remark, Report, junit, sarif
from plait.controlplane.mesh_tests import Verdict, run
from plait.controlplane.offline import OfflineMesh, offline_mesh
from plait.errors import InvalidInputError
from plait.resources.parse import Resource, parse
from plait.resources.plait.mesh_test import MeshTestSpec
from plait.resources.violations import Violation
from plait.resources.yaml import Document, Loaded, line_of, load_paths

FAILED = "PLT9001"
"""The code of a case that fails, in reports."""
KIND = "MeshTest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A case that was run, and where it is written."""

    test: str
    file: str
    line: int
    verdict: Verdict


def test(
    files: options.Files,
    more: options.MorePaths = None,  # noqa: PT028
    output: options.Report = Report.TABLE,  # noqa: PT028
) -> None:
    """Run the MeshTests in files without a mesh: calls, and what must become of them."""
    loaded = documents.read(files, more)
    tests = [document for document in loaded.documents if document.value.get("kind") == KIND]
    rest = tuple(document for document in loaded.documents if document.value.get("kind") != KIND)
    base = with_planned(Loaded(documents=rest, violations=loaded.violations))
    if not tests:
        raise UsageError(f"no {KIND} in these files", f"write objects of kind {KIND}, see docs/how-to/test-routes.md")
    ran = [case for document in tests for case in _run(document, base)]
    _show(ran, output)
    failed = sum(not item.verdict.passed for item in ran)
    if failed:
        raise CheckError(f"{failed} of {counted(len(ran), 'case')} failed", "mend the configuration or the cases")


def _run(document: Document, base: Loaded) -> list[Ran]:
    parsed = parse(document.value, lines=document.lines, file=document.file)
    if not isinstance(parsed, Resource):
        raise InvalidInputError(parsed)
    mesh = _mesh(document, parsed.spec, base)
    name = f"{parsed.namespace}/{parsed.name}"
    return [
        Ran(test=name, file=document.file, line=line_of(document, found.path), verdict=found)
        for found in run(mesh, parsed.spec)
    ]


def _mesh(document: Document, spec: MeshTestSpec, base: Loaded) -> OfflineMesh:
    """The mesh that a test is run on; raises InvalidInputError with all that is wrong with its configuration."""
    folder = Path(document.file).parent if document.file != "-" else Path()
    read = with_planned(load_paths([folder / path for path in spec.configuration]))
    own = planned(list(spec.workloads), document, "spec.workloads")
    inline = tuple(_inline(document, index, value) for index, value in enumerate(spec.objects))
    kept = tuple(item for item in (*base.documents, *read.documents, *inline) if item.value.get("kind") != KIND)
    mesh = offline_mesh((_machine(), *kept, *without_known(own.documents, kept)))
    wrong: Sequence[Violation] = (*base.violations, *read.violations, *own.violations, *mesh.violations)
    if wrong:
        raise InvalidInputError(wrong)
    return mesh


def _inline(document: Document, index: int, value: dict[str, Any]) -> Document:
    prefix = f"spec.objects[{index}]"
    lines = {path[len(prefix) :].lstrip("."): line for path, line in document.lines.items() if path.startswith(prefix)}
    return Document(value=value, file=document.file, line=line_of(document, prefix), lines=lines)


def _machine() -> Document:
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "planned"}, "spec": {"podCIDR": "10.60.0.0/16"}}
    return Document(value=node)


def _show(ran: Sequence[Ran], output: Report) -> None:
    if output is Report.JUNIT:
        say(junit("test", [_case(item) for item in ran]))
    elif output is Report.SARIF:
        remarks = [_remark(item) for item in ran if not item.verdict.passed]
        show_value(sarif("test", remarks, rules={FAILED: "a case of a MeshTest fails"}), Output.JSON)
    elif output is not Report.TABLE:
        show_value([_shown(item) for item in ran], Output(output.value))
    else:
        for item in ran:
            say(f"{'ok  ' if item.verdict.passed else 'FAIL'} {item.test}: {item.verdict.name}")
            for line in _why(item):
                say(f"       {line}")
        note(f"{counted(len(ran), 'case')}, {sum(item.verdict.seconds for item in ran) * 1000:.0f} ms.")


def _why(item: Ran) -> list[str]:
    """What is different, and what becomes of the call."""
    verdict = item.verdict
    if verdict.passed:
        return []
    place = f"{item.file}:{item.line}: "
    told = [f"{place}{one.field}: expected {one.expected}, is {one.found}" for one in verdict.differences]
    miss = [f"nearest miss: {verdict.nearest_miss}"] if verdict.nearest_miss else []
    return [*told, f"{'' if told else place}{verdict.sentence}", *miss]


def _shown(item: Ran) -> dict[str, Any]:
    verdict = item.verdict
    return {
        "test": item.test,
        "case": verdict.name,
        "passed": verdict.passed,
        "file": item.file,
        "line": item.line,
        "sentence": verdict.sentence,
        "nearestMiss": verdict.nearest_miss,
        "differences": [
            {"field": one.field, "expected": one.expected, "found": one.found} for one in verdict.differences
        ],
    }


def _case(item: Ran) -> Case:
    verdict = item.verdict
    text = "\n".join(_why(item))
    return Case(
        suite=item.test,
        name=verdict.name,
        failed=not verdict.passed,
        text=text,
        kind="" if verdict.passed else FAILED,
        seconds=verdict.seconds,
    )


def _remark(item: Ran) -> Remark:
    text = "; ".join(_why(item))
    subject = f"{KIND} {item.test}: {item.verdict.name}"
    return Remark(code=FAILED, severity="error", subject=subject, text=text, file=item.file, line=item.line)
