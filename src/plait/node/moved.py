"""Follows control to another address, for instance where its backup was restored: the machine stays who it is.

`plait node --control` says where control is now. Whoever answers there must have a certificate under the mesh's own
roots. While nobody does, the address known before is kept, so that an agent starts without control too.
"""

import dataclasses
import logging
import ssl

from plait.errors import UnreachableError
from plait.node.join import MOST_OTHERS, Member, ask, control_address, is_beside_control, keep
from plait.node.settings import NodeSettings
from plait.node.state import NodeDirectory

log = logging.getLogger(__name__)

ADS_PORT = "x-plait-ads-port"
"""The header by which control tells where machines connect."""


async def followed(member: Member, settings: NodeSettings, directory: NodeDirectory) -> Member:
    """The membership with the controls' addresses as the settings say them; kept for later starts."""
    if not settings.controls or is_beside_control(directory):
        return member
    found = [address for text in settings.controls if (address := await _followed(text, member))]
    if not found:
        return member
    others = tuple(address for address in (*found[1:], *member.membership.others) if address != found[0])
    membership = dataclasses.replace(
        member.membership, ads_address=found[0], others=tuple(dict.fromkeys(others))[:MOST_OTHERS]
    )
    if membership == member.membership:
        return member
    moved = dataclasses.replace(member, membership=membership)
    keep(directory, moved)
    log.info("control is at %s now", ", ".join((membership.ads_address, *membership.others)))
    return moved


async def _followed(text: str, member: Member) -> str:
    """Where the control at an address answers machines; the known address, or nothing, while it does not answer."""
    known = (member.membership.ads_address, *member.membership.others)
    host, port = control_address(text, 0)
    shown = f"[{host}]" if ":" in host else host
    of_host = [address for address in known if address.rpartition(":")[0].strip("[]") == host]
    if of_host:
        return of_host[0]
    try:
        ads_port = await _ads_port(member, host, port) if port else int(known[0].rpartition(":")[2])
    except UnreachableError as error:
        log.warning("control is looked for at %s as before: %s", ", ".join(known), error)
        return ""
    return f"{shown}:{ads_port}"


async def _ads_port(member: Member, host: str, port: int) -> int:
    context = ssl.create_default_context(cadata=member.bundle.decode("ascii"))
    answer = await ask(host, port, "/plait/v1/bundle", context=context)
    number = answer.headers.get(ADS_PORT, "")
    if answer.status != 200 or not number.isdecimal():
        raise UnreachableError(f"{host}:{port} is no control plane that can be followed", "check --control")
    return int(number)
