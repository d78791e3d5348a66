"""`plait validate`: check YAML without a mesh, every mistake at once."""

from collections.abc import Sequence
from dataclasses import asdict

from plait.analysis.messages import SCHEMA
from plait.cli import documents, options
from plait.cli.errors import CheckError
from plait.cli.output import counted, note, say
from plait.cli.render import Output, show_value
from plait.cli.reports import Remark, Report, cases_of, junit, sarif
from plait.resources.parse import validate as check
from plait.resources.violations import Violation
from plait.resources.yaml import Loaded


def validate(
    files: options.Files,
    more: options.MorePaths = None,
    output: options.Report = Report.TABLE,
) -> None:
    """Check files without a mesh; every mistake is told with its file and line."""
    loaded = documents.read(files, more)
    found = [*loaded.violations, *check(loaded.documents)]
    found.sort(key=lambda violation: (violation.file, violation.line))
    if output in (Report.JSON, Report.YAML):
        value = {"objects": len(loaded.documents), "violations": [asdict(violation) for violation in found]}
        show_value(value, Output(output.value))
    elif output is not Report.TABLE:
        _report(loaded, found, output)
    else:
        for violation in found:
            note(str(violation))
    objects = counted(len(loaded.documents), "object")
    if found:
        raise CheckError(f"{counted(len(found), 'mistake')} in {objects}", "mend the lines above, then validate again")
    if output is Report.TABLE:
        say(f"{objects}, no mistakes.")


def _report(loaded: Loaded, found: Sequence[Violation], output: Report) -> None:
    remarks = [_remark(violation) for violation in found]
    if output is Report.SARIF:
        show_value(sarif("validate", remarks, rules={SCHEMA.code: SCHEMA.title}), Output.JSON)
        return
    subjects = [(document.file, documents.subject(document)) for document in loaded.documents]
    say(junit("validate", cases_of(subjects, remarks, failing=frozenset(("error",)))))


def _remark(violation: Violation) -> Remark:
    where = f"{violation.path}: " if violation.path else ""
    remedy = f"; {violation.remedy}" if violation.remedy else ""
    return Remark(
        code=SCHEMA.code,
        severity="error",
        subject=documents.full_subject(violation.resource),
        text=f"{where}{violation.problem}{remedy}",
        file=violation.file,
        line=violation.line,
    )
