"""`plait grant`: which local processes may run workloads under which identity.

The node agent sees who asks (uid, executable, cgroup; the kernel says so, not the caller) and looks for a grant. Grants
are one ConfigMap, `plait-grants` in `istio-system`, one key a grant, so they are objects like all others. Without any,
only the owner of the mesh may run workloads, under any identity.
"""

import json
import pwd
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from plait.cli import context, options
from plait.cli.errors import UsageError
from plait.cli.fields import part
from plait.cli.output import say
from plait.cli.render import Output, column, show_rows
from plait.cli.token import check_identity
from plait.errors import NotFoundError

if TYPE_CHECKING:
    from plait.api.client import Client

NAMESPACE = "istio-system"
NAME = "plait-grants"
MAPS = f"/api/v1/namespaces/{NAMESPACE}/configmaps"

group = typer.Typer(help="Which local users may run workloads under which identity.", rich_markup_mode=None)

GrantName = Annotated[str, typer.Argument(metavar="NAME", help="A name for the grant.")]
Allow = Annotated[
    list[str], typer.Option("--allow", metavar="NS/SA", help="An identity it gives; repeatable, NS/* is all of NS.")
]
User = Annotated[str, typer.Option("--user", metavar="USER", help="For processes of this user (name or number).")]
Executable = Annotated[str, typer.Option("--executable", metavar="PATH", help="For processes of this program.")]
ControlGroup = Annotated[str, typer.Option("--cgroup", metavar="PATH", help="For processes in this control group.")]

COLUMNS = (
    column("NAME", "name"),
    column("UID", "uid"),
    column("EXECUTABLE", "executable"),
    column("CGROUP", "cgroup"),
    column("ALLOW", "allow"),
)


@group.command("add")
def add(
    name: GrantName,
    allow: Allow,
    *,
    user: User = "",
    executable: Executable = "",
    cgroup: ControlGroup = "",
) -> None:
    """Let processes run workloads under these identities; every condition given must hold."""
    if not re.fullmatch(r"[-._a-zA-Z0-9]+", name):
        raise UsageError(f"{name!r} is no name for a grant", "use letters, digits, `-`, `_` and `.`")
    if not (user or executable or cgroup):
        raise UsageError("whom is it for?", "say --user, --executable or --cgroup")
    for identity in allow:
        check_identity(identity)
    grant: dict[str, Any] = {"allow": allow}
    if user:
        grant["uid"] = _uid(user)
    grant |= {key: value for key, value in (("executable", executable), ("cgroup", cgroup)) if value}
    with context.current().client() as client:
        _change(client, {name: json.dumps(grant, sort_keys=True)})
    say(f"grant {name} added")


@group.command("remove")
def remove(name: GrantName) -> None:
    """Take a grant back. Workloads that run already keep running until their certificate ends."""
    with context.current().client() as client:
        if name not in _read(client):
            raise NotFoundError(f"no grant {name!r}", "see `plait grant list`")
        _change(client, {name: None})
    say(f"grant {name} removed")


@group.command("list")
def list_grants(output: options.Format = Output.TABLE) -> None:
    """List the grants."""
    with context.current().client() as client:
        rows = [{"name": name, **grant} for name, grant in _read(client).items()]
    show_rows(rows, COLUMNS, output, empty="No grants: only the owner of the mesh may run workloads.")


def _uid(user: str) -> int:
    if user.isdecimal():
        return int(user)
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        raise UsageError(f"there is no user {user!r} on this machine", "give the number (`id -u`) instead") from None


def _read(client: "Client") -> Mapping[str, Mapping[str, Any]]:
    try:
        data = part(client.get(f"{MAPS}/{NAME}"), "data")
    except NotFoundError:
        return {}
    return {name: json.loads(text) for name, text in sorted(data.items())}


def _change(client: "Client", data: Mapping[str, str | None]) -> None:
    try:
        client.patch(f"{MAPS}/{NAME}", {"data": data})
    except NotFoundError:
        metadata = {"name": NAME, "namespace": NAMESPACE}
        client.create(MAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": dict(data)})
