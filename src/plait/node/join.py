"""How this machine becomes a member of a mesh, once, and stays one.

The machine's key is made here. On control's own machine the agent asks over the API's unix socket, which only the
mesh's owner can open, for a token of its own; elsewhere a person brings one. Before the token is shown to anybody, the
root that the API presents is compared with the fingerprint in the token, so it cannot be shown to an impostor.

Key, certificate and what control assigned are kept in STATE/node/identity, so restarts of either side need no token.
The certificate is renewed at half its life. A mesh that was made anew beside us is noticed by its root, and joined. A
machine that was away while the root was replaced joins again by a new token.
"""

import asyncio
import contextlib
import json
import logging
import socket
import ssl
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from plait.errors import ForbiddenError, PlaitError, RefusedError, UnreachableError
from plait.identity.private_files import write_private
from plait.identity.spiffe import CONTROL_SERVER_NAME
from plait.identity.svid import Svid, new_key, signing_request, svid
from plait.identity.tokens import parse_join_token, trusted_roots
from plait.identity.trust import fingerprints as fingerprints_of
from plait.node import http
from plait.node.settings import NodeSettings
from plait.node.state import NodeDirectory, read_json, write_json

log = logging.getLogger(__name__)

LOCAL_WITHIN: Final = 30.0
MOST_OTHERS: Final = 8
"""Controls beside the first that a machine remembers."""
_ASK_WITHIN: Final = 10.0
_RENEW_AGAIN: Final = "join again with a new token: plait token create --node NAME --allow NS/SA"


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """What control assigned to this machine. `ads_address` is where it answers, HOST:PORT, `others` where others do."""

    node: str
    cidr: str
    trust_domain: str
    ads_address: str
    address: str
    fingerprint: str
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A machine that belongs to a mesh: what was assigned, its certificate, and whom to trust."""

    membership: Membership
    identity: Svid
    bundle: bytes


async def member(settings: NodeSettings, directory: NodeDirectory) -> Member:
    """This machine's membership: the kept one, or a new one by the token or by control's own machine."""
    kept = await asyncio.to_thread(load, directory)
    here = not settings.join and (kept is None or is_beside_control(directory))
    if kept is not None and not await _outdated(kept, directory, here=here):
        if settings.join and _names_other_roots(settings.join, kept):
            return await _rejoined(settings, directory, kept)
        return _moved(kept, directory, settings) if here else kept
    if here:
        return await _join_here(settings, directory)
    if not settings.join:
        raise ForbiddenError("this machine's certificate has expired", _RENEW_AGAIN)
    return await _join_there(settings, directory)


def load(directory: NodeDirectory) -> Member | None:
    """The kept membership, if it is whole."""
    folder = directory.identity
    document = read_json(folder / "membership.json")
    try:
        identity = svid((folder / "chain.pem").read_bytes(), (folder / "key.pem").read_bytes())
        values: dict[str, Any] = {**document, "others": tuple(document.get("others", ()))}
        membership = Membership(**values)
        return Member(membership=membership, identity=identity, bundle=(folder / "bundle.pem").read_bytes())
    except (OSError, RefusedError, TypeError):
        return None


def keep(directory: NodeDirectory, found: Member) -> None:
    """Write the membership down."""
    folder = directory.identity
    write_private(folder / "key.pem", found.identity.key)
    write_private(folder / "chain.pem", found.identity.chain)
    write_private(folder / "bundle.pem", found.bundle)
    write_json(folder / "membership.json", asdict(found.membership))


def is_beside_control(directory: NodeDirectory) -> bool:
    """Whether control keeps its state in the same directory."""
    return (directory.root / "control").is_dir()


def fingerprint_of(bundle: bytes) -> str:
    """SHA-256 of the first root of a bundle, in hexadecimal."""
    return fingerprints_of(bundle)[0]


def source_address(towards: str) -> str:
    """This machine's own address on the way to `HOST:PORT`."""
    host, _, port = towards.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((host.strip("[]"), int(port)))
            return str(probe.getsockname()[0])
    except (OSError, ValueError):
        return "127.0.0.1"


async def _outdated(kept: Member, directory: NodeDirectory, *, here: bool) -> bool:
    if kept.identity.not_after <= datetime.now(UTC):
        return True
    if not here:
        return False
    current = str(read_json(directory.run / "endpoints.json").get("root_fingerprint", ""))
    return bool(current) and current not in fingerprints_of(kept.bundle)


def _names_other_roots(text: str, kept: Member) -> bool:
    """Whether a token is of roots that this machine does not know: it is old, or the roots changed without us."""
    return not set(parse_join_token(text).fingerprints) & set(fingerprints_of(kept.bundle))


async def _rejoined(settings: NodeSettings, directory: NodeDirectory, kept: Member) -> Member:
    """Join anew by a token of other roots; one from before a rotation serves no more, and harms nothing."""
    try:
        return await _join_there(settings, directory)
    except PlaitError as error:
        log.info("the membership is kept, the join token serves no more: %s", error.problem)
        return kept


def _moved(kept: Member, directory: NodeDirectory, settings: NodeSettings) -> Member:
    """The kept membership with control's present address; its ports may change with each start."""
    ads = str(read_json(directory.run / "endpoints.json").get("ads_address", "")) or kept.membership.ads_address
    address = settings.address or kept.membership.address
    membership = replace(kept.membership, ads_address=ads, address=address)
    return Member(membership=membership, identity=kept.identity, bundle=kept.bundle)


async def _join_here(settings: NodeSettings, directory: NodeDirectory) -> Member:
    """Join over the API's unix socket, waiting for control to start."""
    api = directory.run / "api.sock"
    deadline = asyncio.get_running_loop().time() + LOCAL_WITHIN
    while True:
        try:
            token = await _post(api, "/plait/v1/tokens", {"node": settings.machine, "allow": ["*/*"]})
            break
        except UnreachableError:
            if asyncio.get_running_loop().time() > deadline:
                problem = f"this machine is not a member of a mesh, and no control starts in {directory.root}"
                remedy = "start one with `plait up`, or join one: plait node --join TOKEN --control ADDRESS"
                raise RefusedError(problem, remedy) from None
            await asyncio.sleep(0.02)
    key = new_key()
    ads = str(read_json(directory.run / "endpoints.json").get("ads_address", ""))
    address = settings.address or source_address(ads)
    body = {"token": token["token"], "csr": signing_request(key).decode(), "address": address}
    answer = await _post(api, "/plait/v1/join", body)
    return _joined(directory, answer, key, ads_host=ads.rpartition(":")[0] or "127.0.0.1", address=address)


async def _post(api: Path, target: str, document: Mapping[str, Any]) -> Mapping[str, Any]:
    answer = await http.ask_socket(api, target, method="POST", document=document, patience=_ASK_WITHIN)
    return accepted(answer)


def accepted(answer: http.Answer) -> Mapping[str, Any]:
    """What control answered; a refusal is raised."""
    try:
        content: dict[str, Any] = json.loads(answer.body)
    except ValueError:
        content = {}
    if answer.status in (502, 503, 504):
        raise UnreachableError(f"control is not ready (HTTP {answer.status})", "see `plait status`")
    if answer.status >= 300:
        problem = str(content.get("detail") or content.get("message") or content.get("title") or answer.status)
        raise ForbiddenError(f"control does not let this machine join: {problem}", str(content.get("remedy", "")))
    return content


async def _join_there(settings: NodeSettings, directory: NodeDirectory) -> Member:
    """Join over the network by a token, at the first control named that answers."""
    *first, last = settings.controls or ("",)
    for control in first:
        with contextlib.suppress(UnreachableError):
            return await _join_at(control, settings, directory)
    return await _join_at(last, settings, directory)


async def _join_at(control: str, settings: NodeSettings, directory: NodeDirectory) -> Member:
    token = parse_join_token(settings.join)
    host, port = control_address(control, token.api_port)
    bundle = await ask(host, port, "/plait/v1/bundle", context=_unverified())
    if bundle.status != 200:
        raise RefusedError(f"{host}:{port} is no control plane of Plait (HTTP {bundle.status})", "check --control")
    roots = trusted_roots(bundle.body, token.fingerprints)
    key = new_key()
    address = settings.address or source_address(f"{host}:{port}")
    document = {"token": settings.join, "csr": signing_request(key).decode(), "address": address}
    context = ssl.create_default_context(cadata=roots.decode("ascii"))
    answer = accepted(await ask(host, port, "/plait/v1/join", document=document, context=context))
    return _joined(directory, answer, key, ads_host=host, address=address)


def _joined(directory: NodeDirectory, answer: Mapping[str, Any], key: bytes, *, ads_host: str, address: str) -> Member:
    bundle = str(answer["bundle"]).encode()
    membership = Membership(
        node=str(answer["node"]),
        cidr=str(answer["cidr"]),
        trust_domain=str(answer["trustDomain"]),
        ads_address=str(answer.get("adsAddress") or f"{ads_host}:{answer['adsPort']}"),
        address=address,
        fingerprint=fingerprint_of(bundle),
    )
    found = Member(membership=membership, identity=svid(str(answer["chain"]).encode(), key), bundle=bundle)
    keep(directory, found)
    log.info("this machine joined the mesh %s as %s", membership.trust_domain, membership.node)
    return found


def control_address(text: str, port: int) -> tuple[str, int]:
    """HOST and PORT of --control; the token knows the port."""
    if not text:
        raise RefusedError("where control is was not said", "add --control HOST or --control HOST:PORT")
    host, colon, given = text.rpartition(":")
    if not colon or text.endswith("]") or (text.count(":") > 1 and not text.startswith("[")):
        return text.strip("[]"), port
    if not given.isdecimal():
        raise RefusedError(f"--control {text!r}: {given!r} is no port", "write HOST or HOST:PORT")
    return host.strip("[]"), int(given)


def _unverified() -> ssl.SSLContext:
    """For the bundle alone, which is verified by its fingerprint."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def ask(
    host: str, port: int, target: str, *, context: ssl.SSLContext, document: Mapping[str, Any] | None = None
) -> http.Answer:
    """What control's API answers over TLS; UnreachableError if nobody answers whom the context trusts."""
    try:
        async with asyncio.timeout(_ASK_WITHIN):
            reader, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=CONTROL_SERVER_NAME)
            return await http.converse(reader, writer, target, document=document)
    except (OSError, TimeoutError, ValueError, EOFError) as error:
        problem = f"no control plane answers at {host}:{port}: {error or 'timed out'}"
        raise UnreachableError(problem, "check --control, and that `plait up --listen` is running there") from error
