"""Tokens: a machine's single-use token to join a mesh, and a user's bearer token for the API.

A join token carries all that a machine needs beside control's address: the ports of API and ADS, the fingerprints
of the mesh's roots (so that the first connection is verified too), and a secret. Control keeps a record of it with
a hash of the secret, as plain JSON that fits into a Secret; redeeming marks the record as used. The secrets have
256 random bits, so a plain hash is enough.
"""

import base64
import hmac
import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from plait.errors import ForbiddenError, RefusedError
from plait.identity.certificates import pem

_JOIN: Final = "plait-join1."
_USER: Final = "plait-user1."

Record = Mapping[str, Any]
"""What control keeps of a token: JSON values only, never the secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinToken:
    """What a join token says. The secret never appears in a repr."""

    id: str
    secret: str = field(repr=False)
    node: str
    api_port: int
    ads_port: int
    fingerprints: tuple[str, ...]

    def __str__(self) -> str:
        return f"join token {self.id} for {self.node}"

    def encode(self) -> str:
        """The token as text, to be copied to the machine."""
        values = [self.id, self.secret, self.node, self.api_port, self.ads_port, ",".join(self.fingerprints)]
        return _JOIN + base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def new_join_token(
    node: str,
    allow: Iterable[str],
    *,
    api_port: int,
    ads_port: int,
    fingerprints: Sequence[str],
    expires: datetime,
) -> tuple[JoinToken, Record]:
    """A token for that machine and the record to keep; `allow` lists `NAMESPACE/SERVICE_ACCOUNT` it may sign for."""
    token = JoinToken(
        id=secrets.token_hex(6),
        secret=secrets.token_urlsafe(32),
        node=node,
        api_port=api_port,
        ads_port=ads_port,
        fingerprints=tuple(fingerprints),
    )
    record = {
        "id": token.id,
        "hash": _hash(token.secret),
        "node": node,
        "allow": list(allow),
        "expires": expires.isoformat(),
        "used": "",
    }
    return token, record


def parse_join_token(text: str) -> JoinToken:
    """The token that a user pasted; RefusedError if it is none or not whole."""
    body = text.strip().removeprefix(_JOIN)
    try:
        values = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        identifier, secret, node, api_port, ads_port, prints = values
        return JoinToken(
            id=str(identifier),
            secret=str(secret),
            node=str(node),
            api_port=int(api_port),
            ads_port=int(ads_port),
            fingerprints=tuple(str(prints).split(",")),
        )
    except (ValueError, TypeError) as error:
        raise RefusedError(
            "the join token is not whole", "copy the line that `plait token create --node NAME` printed"
        ) from error


def redeem(record: Record | None, secret: str, *, now: datetime) -> Record:
    """The record marked as used; ForbiddenError unless the secret is right, and the token unused and not too old."""
    if record is None or not hmac.compare_digest(str(record["hash"]), _hash(secret)):
        raise ForbiddenError("the join token is not known", "make one with `plait token create --node NAME`")
    if record["used"]:
        raise ForbiddenError(
            f"the join token for {record['node']} was used on {record['used']}", "make another: each works once"
        )
    if now >= datetime.fromisoformat(str(record["expires"])):
        raise ForbiddenError(f"the join token for {record['node']} ended on {record['expires']}", "make another")
    return {**record, "used": now.isoformat()}


def new_user_token(user: str) -> tuple[str, Record]:
    """A bearer token for that user and the record to keep."""
    identifier, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    return f"{_USER}{identifier}.{secret}", {"id": identifier, "hash": _hash(secret), "user": user}


def user_token_id(text: str) -> str | None:
    """Which record a bearer token claims to belong to; None if it is no such token."""
    identifier, separator, _ = text.removeprefix(_USER).partition(".")
    return identifier if text.startswith(_USER) and separator else None


def user_of(record: Record | None, text: str) -> str | None:
    """The user whose token it is; None if the secret does not fit the record."""
    secret = text.removeprefix(_USER).partition(".")[2]
    if record is None or not hmac.compare_digest(str(record["hash"]), _hash(secret)):
        return None
    return str(record["user"])


def trusted_roots(bundle: bytes, fingerprints: Sequence[str]) -> bytes:
    """The certificates (PEM) of an unverified bundle that have one of these fingerprints; ForbiddenError if none has.

    A token that was made while the root is replaced names both, and serves before and after the change.
    """
    try:
        certificates = x509.load_pem_x509_certificates(bundle)
    except ValueError:
        certificates = []
    wanted = {fingerprint.lower() for fingerprint in fingerprints}
    found = [pem(item) for item in certificates if item.fingerprint(hashes.SHA256()).hex() in wanted]
    if found:
        return b"".join(found)
    raise ForbiddenError(
        "the control plane that answered is not the one that made the token",
        "check the address given by --control, where someone else may answer; if the mesh's root was replaced since,"
        " make another token",
    )


def _hash(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()
