"""Who may use the API, and who may join: bearer tokens of users and join tokens of machines.

Both are Secrets in the system namespace that hold only a hash. The owner's token is a file of the state directory;
whoever comes over the unix socket is the owner, since the socket's permissions let nobody else.
"""

import hmac
import secrets
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from plait.controlplane.machines import Machines
from plait.controlplane.objects import Objects
from plait.controlplane.seed import SYSTEM_NAMESPACE, document
from plait.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError
from plait.identity.tokens import digest, new_token, parse_token, record, verify
from plait.resources.violations import Violation
from plait.store.store import Write

OWNER: Final = "owner"
_USER_PREFIX: Final = "user-token-"
_JOIN_PREFIX: Final = "join-token-"


class Access:
    """Checks and makes tokens."""

    def __init__(self, objects: Objects, machines: Machines, *, owner_token: str, fingerprint: str) -> None:
        self._objects = objects
        self._machines = machines
        self._owner_token = owner_token
        self._fingerprint = fingerprint
        self.api_port = 0
        self.ads_port = 0

    async def authenticate(self, token: str | None, is_unix: bool) -> str | None:
        """The user's name, None for an unknown caller."""
        if is_unix:
            return OWNER
        if token is None:
            return None
        if hmac.compare_digest(token.encode(), self._owner_token.encode()):
            return OWNER
        identifier, _, secret = token.partition(".")
        stored = await self._secret(_USER_PREFIX + identifier)
        if stored is None or not hmac.compare_digest(stored.get("digest", ""), digest(secret)):
            return None
        return stored["user"]

    async def create_token(self, body: Mapping[str, Any], user: str) -> Mapping[str, Any]:
        """A join token for a machine ({node, allow}) or a bearer token for a user ({user})."""
        if user != OWNER:
            raise ForbiddenError(f"{user} may not make tokens", "ask the owner of the mesh")
        if body.get("node"):
            return await self._join_token(str(body["node"]), [str(item) for item in body.get("allow") or []])
        if body.get("user"):
            return await self._user_token(str(body["user"]))
        raise InvalidInputError([Violation(problem="a token is for a machine or a user", remedy="give node or user")])

    async def _join_token(self, node: str, allow: list[str]) -> Mapping[str, Any]:
        wrong = [item for item in allow if item.count("/") != 1]
        if wrong or not allow:
            problem = (
                f"not of the form NAMESPACE/SERVICE-ACCOUNT: {', '.join(wrong)}" if wrong else "no identity is allowed"
            )
            raise InvalidInputError(
                [Violation(path="allow", problem=problem, remedy="for example --allow default/default")]
            )
        token = new_token(fingerprint=self._fingerprint, api_port=self.api_port, ads_port=self.ads_port)
        await self._keep(_JOIN_PREFIX + token.id, record(token, node=node, allow=allow, now=time.time()))
        return {"token": str(token), "node": node, "allow": allow}

    async def _user_token(self, user: str) -> Mapping[str, Any]:
        identifier, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        await self._keep(_USER_PREFIX + identifier, {"digest": digest(secret), "user": user})
        return {"token": f"{identifier}.{secret}", "user": user}

    async def join(self, body: Mapping[str, Any], address: str) -> Mapping[str, Any]:
        """Let a machine in that bears a token; the token is used up by it."""
        token = parse_token(str(body.get("token", "")))
        name = _JOIN_PREFIX + token.id
        key = Objects.key("", "Secret", SYSTEM_NAMESPACE, name)
        stored = await self._objects.get(key)
        if stored is None:
            raise ForbiddenError(
                "the join token is not known, or was used already",
                "make a new one: plait token create --node NAME --allow NS/SA",
            )
        node, allow = verify(stored.get("stringData", {}), token, now=time.time())
        try:
            expected = int(stored["metadata"]["resourceVersion"])
            await self._objects.store.commit([Write(key=key, document=None, expected=expected)])
        except (ConflictError, NotFoundError):
            raise ForbiddenError("the join token was used already", "make a new one with plait token create") from None
        return await self.admit(node, allow, body, address)

    async def admit(self, node: str, allow: str, body: Mapping[str, Any], address: str) -> Mapping[str, Any]:
        """The answer to a machine that may join."""
        membership = await self._machines.admit(
            node, str(body.get("csr", "")), allow, str(body.get("address") or address)
        )
        values = asdict(membership)
        return {
            "node": values["node"],
            "chain": values["chain"],
            "bundle": values["bundle"],
            "cidr": values["cidr"],
            "trustDomain": values["trust_domain"],
            "adsPort": self.ads_port,
        }

    async def _secret(self, name: str) -> Mapping[str, str] | None:
        stored = await self._objects.get(Objects.key("", "Secret", SYSTEM_NAMESPACE, name))
        return stored.get("stringData", {}) if stored else None

    async def _keep(self, name: str, values: Mapping[str, str]) -> None:
        kind = "plait.dev/token"
        await self._objects.put(document("v1", "Secret", name, SYSTEM_NAMESPACE, type=kind, stringData=dict(values)))
