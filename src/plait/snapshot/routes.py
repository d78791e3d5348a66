"""Declared routes to rules: references are resolved, what is broken gets its error, and the status says why.

A broken backend answers 500 for its share (for all of the rule's traffic if every share is broken); at weight 0 it does
no harm. A mirror that cannot be resolved is dropped. A Service without endpoints is not broken: its cluster is empty
and Envoy answers 503.

Routes at a Service may send to any namespace; routes at a Gateway need a ReferenceGrant, as they expose what they send
to (https://gateway-api.sigs.k8s.io/geps/gep-1426/#namespace-boundaries). So a route is resolved apart for the two.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from plait.model.authorizer import Authorizer
from plait.model.ids import ObjectName
from plait.model.l4 import L4Destination, L4Rule
from plait.model.traffic import ClusterKey, Destination, Mirror, Rule
from plait.snapshot.attach import GATEWAY_GROUP, granted, is_service
from plait.snapshot.conditions import Problem
from plait.snapshot.declared import DeclaredGrant, DeclaredPort, DeclaredService
from plait.snapshot.declared_routes import BackendRef, DeclaredAuthorizer, DeclaredRoute, DeclaredRule
from plait.snapshot.precedence import RankedConnections, RankedRoute

_BROKEN = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedRoute:
    """A route whose references were looked up; `references` and `dropped` say what is wrong with it.

    `ranked` are its rules for requests, `connections` its rule for connections, by its kind.
    """

    route: DeclaredRoute
    ranked: RankedRoute
    connections: RankedConnections | None = None
    references: tuple[Problem, ...] = ()
    dropped: tuple[Problem, ...] = ()

    @property
    def refused(self) -> tuple[Problem, ...]:
        """Why the route is not accepted at all: no rule of it can be done."""
        return self.dropped if all(rule.problems for rule in self.route.rules) else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """What references lead to. `grants` gives the ReferenceGrants of a namespace, None where none are needed."""

    service: Callable[[ObjectName], DeclaredService | None]
    grants: Callable[[str], Iterable[DeclaredGrant]] | None = None


def resolve(route: DeclaredRoute, lookup: Lookup) -> ResolvedRoute:
    """The rules of a route with their destinations, and what is wrong with its references."""
    problems: list[Problem] = []
    resolver = _Resolver(route=route, lookup=lookup, problems=problems)
    rules = tuple(
        rule for declared in route.rules if route.kind.of_requests for rule in _resolve_rule(declared, resolver)
    )
    return ResolvedRoute(
        route=route,
        ranked=RankedRoute(
            name=route.name,
            created=route.created,
            rules=rules,
            ranks=tuple(rank for declared in route.rules for rank in declared.ranks),
        ),
        connections=_connections(route, resolver),
        references=tuple(dict.fromkeys(problem for problem in problems if problem.reason != "UnsupportedValue")),
        dropped=(
            *(problem for rule in route.rules for problem in (*rule.problems, *rule.dropped)),
            *(problem for problem in problems if problem.reason == "UnsupportedValue"),
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Resolver:
    route: DeclaredRoute
    lookup: Lookup
    problems: list[Problem]

    def cluster(self, ref: BackendRef) -> ClusterKey | None:
        """The cluster that a reference leads to; None notes why there is none."""
        problem = self._problem(ref)
        if problem is None:
            return ClusterKey(service=ref.name, port=ref.port)
        self.problems.append(problem)
        return None

    def asked(self, authorizer: DeclaredAuthorizer) -> ClusterKey | None:
        """The cluster of an authorizer; None notes why it cannot be asked."""
        ref = authorizer.backend
        found = self.cluster(ref)
        service = self.lookup.service(ref.name) if found else None
        port = service.port(ref.port) if service else None
        wanted = "gRPC (appProtocol grpc or kubernetes.io/h2c)" if authorizer.question.grpc else "HTTP"
        if port is None or _speaks(port, grpc=authorizer.question.grpc):
            return found
        sentence = f"port {ref.port} of Service {ref.name} does not speak {wanted}, by which it is asked"
        self.problems.append(self._say(ref, "UnsupportedProtocol", sentence))
        return None

    def _problem(self, ref: BackendRef) -> Problem | None:
        if not is_service(ref.reference):
            kind = f"{ref.group}/{ref.kind}" if ref.group else ref.kind
            return self._say(ref, "InvalidKind", f"{kind} {ref.name} cannot be sent to; name a Service")
        if not self._permitted(ref):
            remedy = f"allow it by a ReferenceGrant in namespace {ref.name.namespace}"
            return self._say(ref, "RefNotPermitted", f"Service {ref.name} is in another namespace; {remedy}")
        service = self.lookup.service(ref.name)
        if service is None or service.alias:
            remedy = "is of type ExternalName, which has no endpoints" if service else "does not exist"
            return self._say(ref, "BackendNotFound", f"Service {ref.name} {remedy}")
        return self._port_problem(ref, service)

    def _port_problem(self, ref: BackendRef, service: DeclaredService) -> Problem | None:
        port = service.port(ref.port)
        if port is None:
            listed = ", ".join(str(port.number) for port in service.ports) or "none"
            missing = f"Service {ref.name} has no port {ref.port}; its ports are {listed}"
            return self._say(ref, "BackendNotFound", missing)
        if not port.tcp:
            udp = f"port {ref.port} of Service {ref.name} does not carry TCP"
            return self._say(ref, "UnsupportedProtocol", udp)
        if ref.unsupported:
            return self._say(ref, "UnsupportedValue", f"{ref.unsupported} is not supported at a backend; remove it")
        return None

    def _permitted(self, ref: BackendRef) -> bool:
        if self.lookup.grants is None:
            return True
        source = GATEWAY_GROUP, self.route.kind.value, self.route.name.namespace
        return granted(self.lookup.grants(ref.name.namespace), source, ref.reference)

    def _say(self, ref: BackendRef, reason: str, sentence: str) -> Problem:
        path = f"{ref.origin.path}: " if ref.origin else ""
        return Problem(reason=reason, message=f"{path}{sentence}")


def _speaks(port: DeclaredPort, *, grpc: bool) -> bool:
    return port.takes_requests and (not grpc or (port.protocol is not None and port.protocol.is_http2))


def _connections(route: DeclaredRoute, resolver: _Resolver) -> RankedConnections | None:
    if route.kind.of_requests:
        return None
    rule = route.rules[0]
    shares = [
        L4Destination(cluster=resolver.cluster(ref), weight=ref.weight, origin=ref.origin) for ref in rule.backends
    ]
    l4_rule = L4Rule(
        name=f"{route.name}/{rule.name}",
        destinations=tuple(item for item in shares if item.weight),
        origin=rule.origin,
    )
    return RankedConnections(name=route.name, created=route.created, rule=l4_rule)


def _resolve_rule(declared: DeclaredRule, resolver: _Resolver) -> Iterable[Rule]:
    destinations = tuple(_destination(ref, resolver) for ref in declared.backends)
    mirrors = _mirrors(declared.mirrors, resolver)
    authorizer = _authorizer(declared.authorizer, resolver) if declared.authorizer else None
    for rule in declared.matches:
        if declared.authorizer and authorizer is None:
            yield _broken(rule)
        else:
            yield replace(_answer(declared, rule, destinations=destinations, mirrors=mirrors), authorizer=authorizer)


def _authorizer(declared: DeclaredAuthorizer, resolver: _Resolver) -> Authorizer | None:
    cluster = resolver.asked(declared)
    return Authorizer(cluster=cluster, question=declared.question) if cluster else None


def _broken(rule: Rule) -> Rule:
    """The rule for requests that cannot be treated as it says."""
    return Rule(name=rule.name, match=rule.match, status=_BROKEN, origin=rule.origin)


def _destination(ref: BackendRef, resolver: _Resolver) -> Destination:
    return Destination(
        cluster=resolver.cluster(ref),
        weight=ref.weight,
        request_headers=ref.request_headers,
        response_headers=ref.response_headers,
        redirect=ref.redirect,
        rewrite=ref.rewrite,
        mirrors=_mirrors(ref.mirrors, resolver),
        cors=ref.cors,
        status=_BROKEN,
        origin=ref.origin,
    )


def _mirrors(refs: Iterable[BackendRef], resolver: _Resolver) -> tuple[Mirror, ...]:
    return tuple(mirror for ref in refs if (mirror := _mirror(ref, resolver)))


def _mirror(ref: BackendRef, resolver: _Resolver) -> Mirror | None:
    cluster = resolver.cluster(ref)
    return Mirror(cluster=cluster, numerator=ref.numerator, denominator=ref.denominator) if cluster else None


def _answer(
    declared: DeclaredRule, rule: Rule, *, destinations: tuple[Destination, ...], mirrors: tuple[Mirror, ...]
) -> Rule:
    if declared.problems:
        return _broken(rule)
    if rule.redirect is not None:
        return rule
    usable = tuple(item for item in destinations if item.cluster is not None)
    if not any(item.weight for item in usable):
        return replace(rule, status=_BROKEN)
    kept = tuple(item for item in destinations if item.cluster is not None or item.weight)
    return replace(rule, destinations=kept, mirrors=mirrors)
