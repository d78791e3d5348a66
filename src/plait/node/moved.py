"""Follows control to another address, for instance where its backup was restored: the machine stays who it is.

`plait node --control` says where control is now. Whoever answers there must have a certificate under the mesh's own
roots. While nobody does, the address known before is kept, so that an agent starts without control too.
"""

import dataclasses
import logging
import ssl

from plait.errors import UnreachableError
from plait.node.join import Member, ask, control_address, is_beside_control, keep
from plait.node.settings import NodeSettings
from plait.node.state import NodeDirectory

log = logging.getLogger(__name__)

ADS_PORT = "x-plait-ads-port"
"""The header by which control tells where machines connect."""


async def followed(member: Member, settings: NodeSettings, directory: NodeDirectory) -> Member:
    """The membership with control's address as the settings say it; kept for later starts."""
    if not settings.control or is_beside_control(directory):
        return member
    known_host, _, known_port = member.membership.ads_address.rpartition(":")
    host, port = control_address(settings.control, 0)
    if host == known_host.strip("[]"):
        return member
    try:
        ads_port = await _ads_port(member, host, port) if port else int(known_port)
    except UnreachableError as error:
        log.warning("control is looked for at %s as before: %s", member.membership.ads_address, error)
        return member
    shown = f"[{host}]" if ":" in host else host
    membership = dataclasses.replace(member.membership, ads_address=f"{shown}:{ads_port}")
    moved = dataclasses.replace(member, membership=membership)
    keep(directory, moved)
    log.info("control is at %s now", membership.ads_address)
    return moved


async def _ads_port(member: Member, host: str, port: int) -> int:
    context = ssl.create_default_context(cadata=member.bundle.decode("ascii"))
    answer = await ask(host, port, "/plait/v1/bundle", context=context)
    number = answer.headers.get(ADS_PORT, "")
    if answer.status != 200 or not number.isdecimal():
        raise UnreachableError(f"{host}:{port} is no control plane that can be followed", "check --control")
    return int(number)
