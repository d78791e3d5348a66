"""Authorization policies as Envoy RBAC rules, for requests and for connections.

All DENY policies are asked first; then, if there is any ALLOW policy, one of its rules must match. A rule bears the
name `NAMESPACE/NAME[index]`, which Envoy gives back when it denies.

Conditions on ports are decided here, since every chain is for one known port (that also holds where the sidecar
listens on a port of its own); only the chain for unlisted ports asks at run time. On a byte stream what needs a
request cannot be known: such an ALLOW rule never matches, and such a DENY rule matches whatever its other
conditions leave, so that a stream is never allowed by mistake.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from envoy.config.rbac.v3 import rbac_pb2
from envoy.config.route.v3 import route_components_pb2
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2 as http_rbac_pb2
from envoy.type.matcher.v3 import path_pb2, string_pb2

from plait.envoy import names, proto
from plait.model.security import Action, AuthorizationPolicy, AuthorizationRule, OperationMatch, SourceMatch

Permission = rbac_pb2.Permission
Principal = rbac_pb2.Principal

FILTERS: Final = ((Action.DENY, "plait.deny"), (Action.ALLOW, "plait.allow"))
"""The HTTP filters that ask for policies, in their order; each takes its rules from the route, by its own name."""

_ACTIONS: Final = {Action.ALLOW: rbac_pb2.RBAC.ALLOW, Action.DENY: rbac_pb2.RBAC.DENY}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where rules are asked: the port (0 if only the call tells), and whether requests are seen there."""

    port: int
    http: bool


def on_route(
    message: route_components_pb2.Route, policies: Sequence[AuthorizationPolicy], place: Place
) -> route_components_pb2.Route:
    """Gives a route the rules that the filters read when a request takes it."""
    for action, name in FILTERS:
        found = rules(policies, action, place)
        if found is not None:
            config = http_rbac_pb2.RBACPerRoute(rbac=http_rbac_pb2.RBAC(rules=found))
            message.typed_per_filter_config[name].CopyFrom(proto.packed(config))
    return message


def rules(policies: Iterable[AuthorizationPolicy], action: Action, place: Place) -> rbac_pb2.RBAC | None:
    """The RBAC of all policies with that action at that place; None if there is no such policy."""
    chosen = [policy for policy in policies if policy.action is action]
    if not chosen:
        return None
    message = rbac_pb2.RBAC(action=_ACTIONS[action])
    for policy in chosen:
        for index, rule in enumerate(policy.rules):
            permissions = _permissions(rule, action, place)
            if permissions:
                name = names.policy_rule(str(policy.name), index)
                message.policies[name].CopyFrom(rbac_pb2.Policy(permissions=permissions, principals=_principals(rule)))
    return message


def _permissions(rule: AuthorizationRule, action: Action, place: Place) -> list[Permission]:
    """Alternatives of which one is enough; none if no operation of the rule can match here."""
    operations: Sequence[OperationMatch] = rule.operations
    if not operations:
        return [Permission(any=True)]
    if action is Action.ALLOW and not place.http:
        operations = [operation for operation in operations if not operation.needs_http]
    return [_permission(operation, place) for operation in operations if _possible(operation, place.port)]


def _possible(operation: OperationMatch, port: int) -> bool:
    if not port:
        return True
    return (not operation.ports or port in operation.ports) and port not in operation.not_ports


def _permission(operation: OperationMatch, place: Place) -> Permission:
    conditions: list[Permission] = []
    if place.http:
        conditions += _permitted(_method, operation.methods, operation.not_methods)
        conditions += _permitted(_path, operation.paths, operation.not_paths)
    if not place.port:
        conditions += _permitted(_port, operation.ports, operation.not_ports)
    return Permission(and_rules=Permission.Set(rules=conditions)) if conditions else Permission(any=True)


def _permitted(
    make: Callable[..., Permission], wanted: Sequence[object], unwanted: Sequence[object]
) -> list[Permission]:
    conditions: list[Permission] = []
    if wanted:
        conditions.append(Permission(or_rules=Permission.Set(rules=[make(value) for value in wanted])))
    conditions += [Permission(not_rule=make(value)) for value in unwanted]
    return conditions


def _method(pattern: str) -> Permission:
    return Permission(header=route_components_pb2.HeaderMatcher(name=":method", string_match=_matcher(pattern)))


def _path(pattern: str) -> Permission:
    return Permission(url_path=path_pb2.PathMatcher(path=_matcher(pattern)))


def _port(number: int) -> Permission:
    return Permission(destination_port=number)


def _matcher(pattern: str, prefix: str = "") -> string_pb2.StringMatcher:
    """A pattern (`abc`, `abc*`, `*abc`, `*` for anything not empty) as a comparison; `prefix` comes before it."""
    if pattern == "*":
        return string_pb2.StringMatcher(safe_regex=proto.regex(".+"))
    if pattern.startswith("*"):
        return string_pb2.StringMatcher(suffix=pattern[1:])
    if pattern.endswith("*"):
        return string_pb2.StringMatcher(prefix=prefix + pattern[:-1])
    return proto.exactly(prefix + pattern)


def _principals(rule: AuthorizationRule) -> list[Principal]:
    return [_source(source) for source in rule.sources] or [Principal(any=True)]


def _source(source: SourceMatch) -> Principal:
    conditions = [
        *_identified(_principal, source.principals, source.not_principals),
        *_identified(_namespace, source.namespaces, source.not_namespaces),
    ]
    return Principal(and_ids=Principal.Set(ids=conditions)) if conditions else Principal(any=True)


def _identified(make: Callable[[str], Principal], wanted: Sequence[str], unwanted: Sequence[str]) -> list[Principal]:
    conditions: list[Principal] = []
    if wanted:
        conditions.append(Principal(or_ids=Principal.Set(ids=[make(value) for value in wanted])))
    conditions += [Principal(not_id=make(value)) for value in unwanted]
    return conditions


def _authenticated(matcher: string_pb2.StringMatcher) -> Principal:
    return Principal(authenticated=Principal.Authenticated(principal_name=matcher))


def _principal(pattern: str) -> Principal:
    return _authenticated(_matcher(pattern.removeprefix("spiffe://"), "spiffe://"))


def _namespace(pattern: str) -> Principal:
    inside = "[^/]*".join(proto.quoted(part) for part in pattern.split("*"))
    return _authenticated(string_pb2.StringMatcher(safe_regex=proto.regex(f"spiffe://[^/]+/ns/{inside}/sa/.+")))
