"""AuthorizationPolicy: who may call what.

Whatever the mesh cannot check must never open a door. A rule of an ALLOW policy with something unsupported in it never
matches; in a DENY policy the rest of the rule decides, so it denies more; CUSTOM denies what its rules match, since
nobody can be asked. Each gets a condition. AUDIT decides nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from plait.model.ids import ObjectName
from plait.model.security import Action, AuthorizationPolicy, AuthorizationRule, OperationMatch, SourceMatch
from plait.model.snapshot import Condition, SelectedPolicy
from plait.resources.istio import authorization_policy as api
from plait.resources.istio.selectors import PolicyTargetReference
from plait.resources.parse import Resource
from plait.snapshot.attach import GATEWAY_GROUP
from plait.snapshot.conditions import ACCEPTED, Problem, fails, holds, partially_invalid, sentences
from plait.snapshot.declared import DeclaredAuthorization
from plait.snapshot.workloads import labels_of

_SOURCE_FIELDS: Final = frozenset(
    {"principals", "not_principals", "namespaces", "not_namespaces", "service_accounts", "not_service_accounts"}
)
_OPERATION_FIELDS: Final = frozenset({"methods", "not_methods", "paths", "not_paths", "ports", "not_ports"})
_ACTIONS: Final = {"ALLOW": Action.ALLOW, "DENY": Action.DENY, "CUSTOM": Action.DENY}


def declare_authorization(resource: Resource, spec: api.AuthorizationPolicySpec) -> DeclaredAuthorization:
    """The policy that an AuthorizationPolicy declares."""
    action = _ACTIONS.get(spec.action)
    targets = (*((spec.target_ref,) if spec.target_ref else ()), *spec.target_refs)
    refused = tuple(_refused(spec, targets))
    dropped: list[Problem] = []
    rules = tuple(
        built
        for index, rule in enumerate(spec.rules)
        if (built := _rule(resource, index, rule, action=action, dropped=dropped))
    )
    name = resource.object_name
    policy = AuthorizationPolicy(name=name, action=action, rules=rules, origin=resource.origin()) if action else None
    gateways = tuple(target.name for target in targets if _is_gateway(target))
    return DeclaredAuthorization(
        name=name,
        generation=resource.generation,
        policy=None if targets and not gateways else policy,
        selector=labels_of(spec.selector.match_labels) if spec.selector else (),
        gateways=gateways,
        refused=refused,
        dropped=tuple(dropped),
    )


def _is_gateway(target: PolicyTargetReference) -> bool:
    return (target.group, target.kind) == (GATEWAY_GROUP, "Gateway")


def _refused(spec: api.AuthorizationPolicySpec, targets: Sequence[PolicyTargetReference]) -> Iterable[Problem]:
    if spec.action == "AUDIT":
        yield Problem(reason="UnsupportedValue", message="spec.action AUDIT decides nothing here; delete the policy")
    if spec.action == "CUSTOM":
        sentence = "spec.action CUSTOM is not supported: calls that its rules match are denied; use ALLOW or DENY"
        yield Problem(reason="UnsupportedValue", message=sentence)
    for target in targets:
        if not _is_gateway(target):
            sentence = f"targetRefs: {target.kind} {target.name} cannot be targeted; use selector, or name a Gateway"
            yield Problem(reason="InvalidKind", message=sentence)


def _rule(
    resource: Resource, index: int, rule: api.Rule, *, action: Action | None, dropped: list[Problem]
) -> AuthorizationRule | None:
    path = f"spec.rules[{index}]"
    unsupported = [
        *(f"{path}.from[{at}].source.{name}" for at, item in enumerate(rule.from_) for name in _unknown(item.source)),
        *(f"{path}.to[{at}].operation.{name}" for at, item in enumerate(rule.to) for name in _unknown(item.operation)),
        *(f"{path}.when[{at}] ({item.key})" for at, item in enumerate(rule.when)),
    ]
    if unsupported:
        effect = "so the rule never matches" if action is Action.ALLOW else "so the rule matches without it"
        sentence = f"{', '.join(unsupported)} cannot be checked, {effect}; remove it"
        dropped.append(Problem(reason="UnsupportedValue", message=sentence))
        if action is Action.ALLOW:
            return None
    return AuthorizationRule(
        sources=tuple(_source(item.source, resource.namespace) for item in rule.from_),
        operations=tuple(_operation(item.operation) for item in rule.to),
        origin=resource.origin(path),
    )


def _unknown(part: api.Source | api.Operation) -> Iterable[str]:
    known = _SOURCE_FIELDS if isinstance(part, api.Source) else _OPERATION_FIELDS
    for name in sorted(part.model_fields_set - known):
        if getattr(part, name):
            yield type(part).model_fields[name].alias or name
    if isinstance(part, api.Operation) and any("{" in path for path in (*part.paths, *part.not_paths)):
        yield "paths with templates"


def _source(source: api.Source, namespace: str) -> SourceMatch:
    accounts = tuple(_account(text, namespace) for text in source.service_accounts)
    not_accounts = tuple(_account(text, namespace) for text in source.not_service_accounts)
    return SourceMatch(
        principals=(*source.principals, *accounts),
        not_principals=(*source.not_principals, *not_accounts),
        namespaces=source.namespaces,
        not_namespaces=source.not_namespaces,
    )


def _account(text: str, namespace: str) -> str:
    own, _, name = text.rpartition("/")
    return f"*/ns/{own or namespace}/sa/{name}"


def _operation(operation: api.Operation) -> OperationMatch:
    templates = any("{" in path for path in operation.paths)
    return OperationMatch(
        methods=operation.methods,
        not_methods=operation.not_methods,
        paths=() if templates else operation.paths,
        not_paths=tuple(path for path in operation.not_paths if "{" not in path),
        ports=tuple(int(port) for port in operation.ports),
        not_ports=tuple(int(port) for port in operation.not_ports),
    )


def authorization_in_force(
    declared: Iterable[DeclaredAuthorization],
) -> tuple[tuple[SelectedPolicy, ...], Mapping[ObjectName, tuple[Condition, ...]]]:
    """The policies of one namespace that are in force, by name, and the conditions of all of them."""
    ordered = sorted(declared, key=lambda item: item.name)
    kept = tuple(
        SelectedPolicy(policy=item.policy, selector=item.selector, gateways=item.gateways)
        for item in ordered
        if item.policy is not None
    )
    return kept, {item.name: _conditions(item) for item in ordered}


def _conditions(item: DeclaredAuthorization) -> tuple[Condition, ...]:
    if item.refused:
        message = sentences(problem.message for problem in item.refused)
        return (fails(ACCEPTED, item.refused[0].reason, message),)
    return (holds(ACCEPTED), *partially_invalid(item.dropped))
