"""`plait token create`: let a machine join, or a person use the API."""

from typing import Annotated, Any

import typer

from plait.cli import context, options
from plait.cli.errors import UsageError
from plait.cli.output import note, say
from plait.cli.render import Output, show_value

group = typer.Typer(help="Tokens: for machines that join and people.", rich_markup_mode=None)

Node = Annotated[str, typer.Option("--node", metavar="NAME", help="For a machine of this name; it works once.")]
Allow = Annotated[
    list[str] | None,
    typer.Option("--allow", metavar="NS/SA", help="An identity its workloads may have; repeatable, NS/* is all of NS."),
]
User = Annotated[str, typer.Option("--user", metavar="NAME", help="For a person or program that uses the API.")]


@group.command("create")
def create(node: Node = "", allow: Allow = None, user: User = "", output: options.Format = Output.TABLE) -> None:
    """Make a token for a machine (--node, --allow) or for a user of the API (--user)."""
    if bool(node) == bool(user):
        raise UsageError("whom is it for?", "say --node NAME --allow NS/SA, or --user NAME")
    if node and not allow:
        raise UsageError(
            "--node needs to know which identities the machine may have", "add --allow NAMESPACE/SERVICE-ACCOUNT"
        )
    for identity in allow or ():
        check_identity(identity)
    body: dict[str, Any] = {"node": node, "allow": allow} if node else {"user": user}
    with context.current().client() as client:
        answer = client.create_token(body)
    if output in (Output.JSON, Output.YAML):
        show_value(answer, output)
        return
    say(answer["token"])
    if node:
        note(f"It works once. On {node}: plait node --join TOKEN" + _control(answer))
    else:
        note("It is shown only now. Its user sets PLAIT_TOKEN to it, PLAIT_SERVER to the address of the API,")
        note("and PLAIT_CA_FILE to a copy of the mesh's root certificate (STATE/run/ca.pem).")


def _control(answer: dict[str, Any]) -> str:
    return f" --control {answer['control']}" if answer.get("control") else " --control ADDRESS-OF-THIS-MACHINE"


def check_identity(text: str) -> None:
    """NAMESPACE/SERVICE-ACCOUNT, or NAMESPACE/*."""
    namespace, slash, account = text.partition("/")
    if not (namespace and slash and account) or "/" in account:
        raise UsageError(f"{text!r} is no identity", "write NAMESPACE/SERVICE-ACCOUNT, such as default/reviews")
