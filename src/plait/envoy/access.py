"""How Envoy's RBAC decides, computed on its own messages: which rule allows or denies a call."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from envoy.config.rbac.v3 import rbac_pb2

from plait.envoy.strings import Headers, header, header_matches, matches, split_path

NONE: Final = "none"
"""What Envoy gives as the policy where no ALLOW rule matched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """What RBAC sees of a call; `identity` is the SPIFFE ID proved by TLS, `headers` are empty for byte streams."""

    identity: str = ""
    port: int = 0
    headers: Headers = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Whether the call may go on, and the rule that said so (empty: nothing was asked)."""

    allowed: bool
    rule: str = ""


def decide(rules: Iterable[rbac_pb2.RBAC], caller: Caller) -> Decision:
    """Asks RBAC filters one after the other, as a filter chain does."""
    allowed_by = ""
    for item in rules:
        matched = _matched(item.policies, caller)
        if item.action == rbac_pb2.RBAC.DENY and matched:
            return Decision(allowed=False, rule=matched)
        if item.action == rbac_pb2.RBAC.ALLOW:
            if not matched:
                return Decision(allowed=False, rule=NONE)
            allowed_by = matched
    return Decision(allowed=True, rule=allowed_by)


def _matched(policies: Mapping[str, rbac_pb2.Policy], caller: Caller) -> str:
    for name in sorted(policies):
        policy = policies[name]
        permitted = any(_permission(item, caller) for item in policy.permissions)
        if permitted and any(_principal(item, caller) for item in policy.principals):
            return name
    return ""


def _permission(item: rbac_pb2.Permission, caller: Caller) -> bool:
    kind = item.WhichOneof("rule")
    if kind == "and_rules":
        return all(_permission(part, caller) for part in item.and_rules.rules)
    if kind == "or_rules":
        return any(_permission(part, caller) for part in item.or_rules.rules)
    if kind == "not_rule":
        return not _permission(item.not_rule, caller)
    return kind == "any" or _call_permission(item, caller)


def _call_permission(item: rbac_pb2.Permission, caller: Caller) -> bool:
    kind = item.WhichOneof("rule")
    if kind == "header":
        return header_matches(item.header, caller.headers)
    if kind == "url_path":
        return matches(item.url_path.path, split_path(header(caller.headers, ":path") or "")[0])
    return kind == "destination_port" and item.destination_port == caller.port


def _principal(item: rbac_pb2.Principal, caller: Caller) -> bool:
    kind = item.WhichOneof("identifier")
    if kind == "and_ids":
        return all(_principal(part, caller) for part in item.and_ids.ids)
    if kind == "or_ids":
        return any(_principal(part, caller) for part in item.or_ids.ids)
    if kind == "not_id":
        return not _principal(item.not_id, caller)
    if kind == "authenticated":
        return bool(caller.identity) and matches(item.authenticated.principal_name, caller.identity)
    return kind == "any"
