"""`plait ca`: the mesh's certificate authority, and replacing its intermediate or its root while all goes on."""

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from plait.cli import context, options
from plait.cli.durations import seconds, short
from plait.cli.errors import UsageError
from plait.cli.fields import part, texts
from plait.cli.output import counted, note, say
from plait.cli.render import Output, show_value
from plait.errors import DeadlineError

group = typer.Typer(help="The certificate authority: status, rotate.", rich_markup_mode=None)

_AT_ONCE = 30.0
_LOOK_EVERY = 0.5
_SHOWN = 10
STAGES = {
    "steady": "no rotation under way",
    "distributing": "1 of 3: the new root is handed out to everybody, the old one signs",
    "replacing": "2 of 3: the new root signs, both are trusted until nobody shows a certificate of the old one",
}

Root = Annotated[bool, typer.Option("--root", help="Replace the root, in three stages; without it the intermediate.")]
Now = Annotated[bool, typer.Option("--now", help="Renew every certificate at once, not at half its life.")]
Within = Annotated[
    str, typer.Option("--within", metavar="TIME", help="As --now, each at a random moment of this time (--now: 30s).")
]
CaCert = Annotated[
    Path | None,
    typer.Option("--ca-cert", metavar="FILE", help="An authority of your own: signer first, root last; PEM."),
]
CaKey = Annotated[Path | None, typer.Option("--ca-key", metavar="FILE", help="Its key; PEM, not encrypted.")]
Proceed = Annotated[bool, typer.Option("--proceed", help="Enter the next stage without those who have not followed.")]
Cancel = Annotated[bool, typer.Option("--cancel", help="Give up replacing the root, until the new one signs.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until the rotation is over and everybody has followed.")]
Timeout = Annotated[str, typer.Option("--timeout", metavar="TIME", help="How long --wait waits.")]


@group.command("status")
def status(output: options.Format = Output.TABLE) -> None:
    """Show roots, signer and expiries, the stage of a rotation, and who has not followed it."""
    with context.current().client() as client:
        answer: Mapping[str, Any] = client.request("GET", "/plait/v1/ca")
    _show(answer, output)


@group.command("rotate")
def rotate(  # noqa: PLR0913 - one parameter an option
    *,
    root: Root = False,
    now: Now = False,
    within: Within = "",
    ca_cert: CaCert = None,
    ca_key: CaKey = None,
    proceed: Proceed = False,
    cancel: Cancel = False,
    wait: Wait = False,
    timeout: Timeout = "5m",
    output: options.Format = Output.TABLE,
) -> None:
    """Replace the intermediate that signs certificates, or (--root) the root that everybody trusts."""
    if sum((root, proceed, cancel)) > 1:
        raise UsageError("--root, --proceed and --cancel exclude each other", "say one of them")
    if (ca_cert is None) != (ca_key is None):
        raise UsageError("--ca-cert and --ca-key belong together", "give both")
    body = {
        "root": root,
        "proceed": proceed,
        "cancel": cancel,
        "within": seconds(within) if within else _AT_ONCE if now else None,
        "certificates": _content(ca_cert),
        "key": _content(ca_key),
    }
    limit = seconds(timeout)
    with context.current().client() as client:
        answer: Mapping[str, Any] = client.request("POST", "/plait/v1/ca/rotate", body=body)
        deadline = time.monotonic() + limit
        while wait and (answer["behind"] or answer["stage"] != "steady"):
            if time.monotonic() > deadline:
                raise DeadlineError(f"not over after {short(limit)}: {_who(answer)}", "see `plait ca status`")
            time.sleep(_LOOK_EVERY)
            answer = client.request("GET", "/plait/v1/ca")
    _show(answer, output)


def _content(file: Path | None) -> str:
    if file is None:
        return ""
    try:
        return file.read_text()
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} cannot be read: {error}", "give a PEM file") from None


def _show(answer: Mapping[str, Any], output: Output) -> None:
    if output in (Output.JSON, Output.YAML):
        show_value(answer, output)
        return
    for name, value in _lines(answer):
        say(f"{name:<10}{value}")
    if answer["stage"] != "steady" and answer["behind"]:
        note(_remedy(answer))


def _remedy(answer: Mapping[str, Any]) -> str:
    names = texts(answer, "behind")
    machines = [name.removeprefix("machine ") for name in names if name.startswith("machine ")]
    ends = str(answer.get("stageEnds") or "")
    parts = [f"The next stage begins when all have followed{f', at the latest on {_day(ends)}' if ends else ''}."]
    if machines:
        which = machines[0] if len(machines) == 1 else "NAME"
        parts.append(f"A machine that is away follows when it is back; one that is gone: plait delete node {which}.")
    parts.append("To go on without them: plait ca rotate --proceed")
    return " ".join(parts)


def _lines(answer: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "stage", STAGES.get(str(answer["stage"]), str(answer["stage"]))
    for root in answer["roots"]:
        yield "root", f"{root['fingerprint'][:16]}  {root['role']}, ends {_day(root['ends'])}"
    signer = part(answer, "signer")
    here = "" if signer["rootKeyHere"] else "; the root's key is kept elsewhere"
    yield "signer", f"{signer['fingerprint'][:16]}  ends {_day(signer['ends'])}{here}"
    within = answer.get("renewWithin")
    yield "renewal", "at half of their life" if within is None else f"of other signers' within {short(float(within))}"
    yield "behind", _who(answer)


def _who(answer: Mapping[str, Any]) -> str:
    names = texts(answer, "behind")
    if not names:
        return "nobody"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{len(names)}: {', '.join(names[:_SHOWN])}{more}"


def _day(moment: str) -> str:
    ends = datetime.fromisoformat(moment)
    days = (ends - datetime.now(UTC)).days
    left = "over" if days < 0 else f"in {counted(days, 'day')}"
    return f"{ends:%Y-%m-%d} ({left})"
