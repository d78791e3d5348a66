"""Join tokens: how a new machine proves, once, that it may join, and how it knows the mesh it joins.

A token is a string a person carries from one machine to another. It holds an id, a secret, the fingerprint of the
root certificate and the ports of API and ADS. Control stores only a hash of the secret, so a copied store joins
nobody; a token is consumed by deleting its record, so it works once.
"""

import base64
import binascii
import hmac
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import Final

from plait.errors import ForbiddenError, RefusedError

PREFIX: Final = "plait-join."
LIFE: Final = 24 * 3600.0
"""Seconds that a token stays valid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinToken:
    """What a token says. `fingerprint` is the SHA-256 of the root certificate in hexadecimal."""

    id: str
    secret: str = field(repr=False)
    fingerprint: str
    api_port: int
    ads_port: int

    def __str__(self) -> str:
        text = json.dumps(asdict(self), separators=(",", ":")).encode()
        return PREFIX + base64.urlsafe_b64encode(text).decode().rstrip("=")


def new_token(*, fingerprint: str, api_port: int, ads_port: int) -> JoinToken:
    """A new token with a random secret."""
    return JoinToken(
        id=secrets.token_hex(6),
        secret=secrets.token_urlsafe(32),
        fingerprint=fingerprint,
        api_port=api_port,
        ads_port=ads_port,
    )


def parse_token(text: str) -> JoinToken:
    """The token in a string; RefusedError if it is none."""
    wrong = RefusedError(
        "this is not a join token", "make one where control runs: plait token create --node NAME --allow NS/SA"
    )
    if not text.startswith(PREFIX):
        raise wrong
    encoded = text.removeprefix(PREFIX).strip()
    try:
        fields = json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
        return JoinToken(
            id=str(fields["id"]),
            secret=str(fields["secret"]),
            fingerprint=str(fields["fingerprint"]),
            api_port=int(fields["api_port"]),
            ads_port=int(fields["ads_port"]),
        )
    except (ValueError, KeyError, TypeError, binascii.Error):
        raise wrong from None


def digest(secret: str) -> str:
    """What is stored of a secret."""
    return sha256(secret.encode()).hexdigest()


def record(token: JoinToken, *, node: str, allow: Sequence[str], now: float) -> dict[str, str]:
    """What control stores of a token: strings for a Secret's `stringData`."""
    return {"digest": digest(token.secret), "node": node, "allow": ",".join(allow), "expires": str(int(now + LIFE))}


def verify(stored: Mapping[str, str], token: JoinToken, *, now: float) -> tuple[str, str]:
    """(node, allow) that the stored record grants the token's bearer; ForbiddenError if it grants nothing."""
    if not hmac.compare_digest(stored.get("digest", ""), digest(token.secret)):
        raise ForbiddenError(
            "the join token is not valid", "make a new one: plait token create --node NAME --allow NS/SA"
        )
    if now > float(stored.get("expires", "0")):
        raise ForbiddenError(
            "the join token has expired", "make a new one: plait token create --node NAME --allow NS/SA"
        )
    return stored["node"], stored["allow"]
