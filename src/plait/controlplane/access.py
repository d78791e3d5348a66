"""Who may use the API, and who may join: bearer tokens of users and join tokens of machines.

Both are Secrets in the system namespace that hold only a hash. The owner's token is a file of the state directory;
whoever comes over the unix socket is the owner, since the socket's permissions let nobody else.
"""

import base64
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from plait.controlplane.machines import Machines
from plait.controlplane.objects import Objects
from plait.controlplane.seed import SYSTEM_NAMESPACE, object_of
from plait.errors import ConflictError, ForbiddenError, InvalidInputError
from plait.identity.tokens import (
    new_join_token,
    new_user_token,
    parse_join_token,
    redeem,
    user_of,
    user_token_id,
)
from plait.resources.violations import Violation
from plait.store.store import Write

OWNER: Final = "owner"
_USER_PREFIX: Final = "user-token-"
_JOIN_PREFIX: Final = "join-token-"
_JOIN_WITHIN: Final = timedelta(hours=24)


class Access:
    """Checks and makes tokens."""

    def __init__(
        self, objects: Objects, machines: Machines, *, owner_token: str, fingerprints: Callable[[], Sequence[str]]
    ) -> None:
        self._objects = objects
        self._machines = machines
        self._owner_token = owner_token
        self._fingerprints = fingerprints
        self.api_port = 0
        self.ads_port = 0
        self.reached_at = ""
        """The address that other machines join at, empty if the mesh is open to this machine only."""

    async def authenticate(self, token: str | None, is_unix: bool) -> str | None:
        """The user's name, None for an unknown caller."""
        if is_unix:
            return OWNER
        if token is None:
            return None
        if hmac.compare_digest(token.encode(), self._owner_token.encode()):
            return OWNER
        identifier = user_token_id(token)
        return user_of(await self._record(_USER_PREFIX + identifier), token) if identifier else None

    async def create_token(self, body: Mapping[str, Any], user: str) -> Mapping[str, Any]:
        """A join token for a machine ({node, allow}) or a bearer token for a user ({user})."""
        if user != OWNER:
            raise ForbiddenError(f"{user} may not make tokens", "ask the owner of the mesh")
        if body.get("node"):
            return await self._join_token(
                str(body["node"]), [str(item) for item in list[object](body.get("allow") or ())]
            )
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
        token, record = new_join_token(
            node,
            allow,
            api_port=self.api_port,
            ads_port=self.ads_port,
            fingerprints=self._fingerprints(),
            expires=datetime.now(UTC) + _JOIN_WITHIN,
        )
        await self._keep(_JOIN_PREFIX + token.id, record)
        return {"token": token.encode(), "node": node, "allow": allow, "control": self.reached_at}

    async def _user_token(self, user: str) -> Mapping[str, Any]:
        token, record = new_user_token(user)
        await self._keep(f"{_USER_PREFIX}{record['id']}", record)
        return {"token": token, "user": user}

    async def join(self, body: Mapping[str, Any], address: str) -> Mapping[str, Any]:
        """Let a machine in that bears a token; the token is used up by it."""
        token = parse_join_token(str(body.get("token", "")))
        name = _JOIN_PREFIX + token.id
        key = Objects.key("", "Secret", SYSTEM_NAMESPACE, name)
        stored = await self._objects.get(key)
        used = redeem(_record_in(stored), token.secret, now=datetime.now(UTC))
        expected = int(stored["metadata"]["resourceVersion"]) if stored else 0
        try:
            write = Write(key=key, document=self._secret(name, used), expected=expected)
            await self._objects.commit(write)
        except ConflictError:
            raise ForbiddenError("the join token was used already", "make another: each works once") from None
        return await self.admit(str(used["node"]), ",".join(used["allow"]), body, address)

    async def admit(self, node: str, allow: str, body: Mapping[str, Any], address: str) -> Mapping[str, Any]:
        """The answer to a machine that may join; one that came over the unix socket is control's own machine."""
        reached_at = str(body.get("address") or address)
        membership = await self._machines.admit(
            node, str(body.get("csr", "")), allow, address=reached_at, local=not address
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

    async def _record(self, name: str) -> Mapping[str, Any] | None:
        return _record_in(await self._objects.get(Objects.key("", "Secret", SYSTEM_NAMESPACE, name)))

    async def _keep(self, name: str, record: Mapping[str, Any]) -> None:
        await self._objects.put(self._secret(name, record))

    def _secret(self, name: str, record: Mapping[str, Any]) -> dict[str, Any]:
        content = {"record": json.dumps(dict(record))}
        return object_of("v1", "Secret", name, SYSTEM_NAMESPACE, type="plait.dev/token", stringData=content)


def _record_in(secret: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    return json.loads(base64.b64decode(secret["data"]["record"])) if secret else None
