"""`plait apply`: put a set of objects into force, all of it or nothing.

With `--dry-run` nothing is stored: control works out what every connected proxy would be sent, lets an Envoy judge
it, and tells which workloads would change; exit code 1 if Envoy would refuse something. With `--wait` the command
returns when the proxies that need the change hold it: each that serves or uses what changed. Where none does, that is
success, and said so.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from plait.cli import context, documents, durations, options, rehearsed
from plait.cli.errors import ExitCode, UsageError
from plait.cli.output import note, say
from plait.cli.render import Output, show_value
from plait.errors import DeadlineError, InvalidInputError, RefusedError

if TYPE_CHECKING:
    from plait.api.client import Client

DEFAULT_WAIT = "30s"

Wait = Annotated[
    str | None,
    typer.Option(
        "--wait", metavar="[TIME]", help=f"Wait until the proxies that need it hold it (at most {DEFAULT_WAIT})."
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Change nothing: tell what would, and let Envoy judge it.")]
Digest = Annotated[
    str,
    typer.Option("--digest", metavar="sha256:...", help="What the file or URL must be; nothing is applied otherwise."),
]
Prune = Annotated[bool, typer.Option("--prune", help="Delete what this owner applied before and is not here any more.")]


def apply(  # noqa: PLR0913 - a typer command: its parameters are its options
    files: options.Files,
    more: options.MorePaths = None,
    *,
    wait: Wait = None,
    dry_run: DryRun = False,
    prune: Prune = False,
    owner: options.Owner = "",
    digest: Digest = "",
    output: options.Format = Output.TABLE,
) -> None:
    """Put the objects in these files into force, all or nothing."""
    if prune and not owner:
        raise UsageError("--prune needs to know whose set this is", "add --owner NAME, the same each time")
    limit = None if wait is None else durations.seconds(wait)
    loaded = documents.read_correct(files, more, digest=digest)
    values = [documents.with_source(document) for document in loaded]
    with context.current().client() as client:
        try:
            answer = client.apply(values, dryRun=dry_run, prune=prune, owner=owner, fieldManager="plait")
        except InvalidInputError as error:
            raise documents.located(error, loaded) from None
        if limit is not None and not dry_run:
            answer["settled"] = settled(client, answer.get("revision", 0), limit)
    _show(answer, output, dry_run=dry_run)
    rehearsal: Mapping[str, Any] | None = answer.get("rehearsal")
    if rehearsal is not None and rehearsal["refused"]:
        raise typer.Exit(ExitCode.FOUND)


def settled(client: "Client", revision: int, limit: float) -> Mapping[str, Any]:
    """Wait until every proxy that needs that revision holds it; raises DeadlineError, or RefusedError with reasons."""
    answer: Mapping[str, Any] = client.wait(revision, timeout=limit)
    if refused := answer.get("refused") or ():
        reasons = "; ".join(f"{name['namespace']}/{name['name']}: {name['message']}" for name in refused)
        raise RefusedError(f"the change is stored, but proxies refused it: {reasons}", "see `plait proxy list`")
    if pending := answer.get("pending") or ():
        raise DeadlineError(
            f"the change is stored, but after {durations.short(limit)} these proxies do not hold it yet:"
            f" {', '.join(pending)}",
            "see `plait proxy list`",
        )
    return answer


def _show(answer: Mapping[str, Any], output: Output, *, dry_run: bool) -> None:
    if output in (Output.JSON, Output.YAML):
        show_value(answer, output)
        return
    results: Sequence[Mapping[str, Any]] = answer["results"]
    for result in results:
        say(f"{documents.label(dict(result))} {result['result']}{' (dry run)' if dry_run else ''}")
        if result.get("note"):
            note(f"  note: {result['note']}")
    for line in rehearsed.lines(answer["rehearsal"]) if answer.get("rehearsal") else ():
        say(line)
    if (state := answer.get("settled")) is not None:
        proxies = state.get("proxies") or ()
        took = durations.short(float(state.get("seconds") or 0))
        holders = "1 proxy holds it" if len(proxies) == 1 else f"{len(proxies)} proxies hold it"
        say(f"{holders} in {took}." if proxies else "No proxy needs this change; nothing to wait for.")
