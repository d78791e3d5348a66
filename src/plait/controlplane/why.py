"""`plait why`: where a call would go and why, as the simulation of what the two proxies hold tells it.

The caller's half is computed on its own view with the called host demanded, the server's half on the view of each
endpoint's workload, with the caller's identity proven by mutual TLS. Every decision leads back to the object that it
came from, by the origin in a route's metadata and by the names of policies.
"""

from dataclasses import dataclass
from itertools import chain

from plait.api import schemas
from plait.controlplane.call_target import Target, read_target
from plait.controlplane.publisher import Publisher, parse_proxy
from plait.controlplane.why_bound import Bound, bound_of
from plait.controlplane.why_choice import nearest_left_out, tell_choice
from plait.controlplane.why_server import ServerHalf
from plait.controlplane.why_sources import Locate, Sources
from plait.controlplane.why_story import Story, name_sentence, tell_route, tell_treatment, verdict_of
from plait.envoy import names
from plait.envoy.resource_set import ResourceSet
from plait.envoy.simulate import Call, Direction, Outcome, simulate
from plait.envoy.treatment import treatment
from plait.errors import InvalidInputError, NotFoundError
from plait.identity.spiffe import parse_workload
from plait.model.ids import Identity, ObjectName
from plait.model.services import Capture, Service, Workload, WorkloadKind
from plait.model.view import View
from plait.resources.violations import Violation
from plait.snapshot.names import resolve_host


@dataclass(frozen=True, slots=True)
class _Caller:
    """Who calls, and what the proxy of the caller holds."""

    identity: str
    view: View
    held: ResourceSet


class Why:
    """Answers questions on the newest snapshot."""

    def __init__(self, publisher: Publisher, locate: Locate) -> None:
        self._publisher = publisher
        self._sources = Sources(locate)
        self._server = ServerHalf(publisher, self._sources)

    def answer(self, question: schemas.WhyQuestion) -> schemas.WhyAnswer:
        """The answer; raises NotFoundError for an unknown caller, InvalidInputError for a URL that is none."""
        target = read_target(question.url)
        caller, identity = self._caller(question)
        if caller.kind is WorkloadKind.GATEWAY:
            return self._from_gateway(question, target, caller)
        view = self._view(caller, target.host, names.dialled(target.address, target.port))
        story = Story()
        story.tell("caller", f"{caller.name} calls as {identity}")
        service = self._service(target.host, caller.name.namespace)
        call = self._outbound(question, target, caller, service)
        holder = self._publisher.snapshot.addresses.get(target.host) if view.capture is Capture.TRANSPARENT else None
        story.tell("name", name_sentence(target, service, holder))
        bound = bound_of(self._publisher.snapshot, caller, target, service=service, holder=holder)
        if bound is not None:
            source = self._sources.of(bound.origin)
            story.tell("bound", bound.sentence, source=source)
            if not bound.inside:
                return _outside(bound, story, source)
        held = self._publisher.resources_for(view)
        return self._continue(question, simulate(held, call), story, _Caller(identity, view, held))

    def _from_gateway(self, question: schemas.WhyQuestion, target: Target, gateway: Workload) -> schemas.WhyAnswer:
        view = self._view(gateway)
        story = Story()
        story.tell("caller", f"a client calls the gateway {gateway.gateway}")
        call = Call(
            direction=Direction.GATEWAY,
            address=gateway.address,
            port=target.port,
            method=question.method or "GET",
            authority=target.authority,
            path=target.path,
            headers=tuple(sorted(question.headers.items())),
            tls=target.scheme == "https",
            server_name=target.host if target.scheme == "https" else "",
        )
        held = self._publisher.resources_for(view)
        return self._continue(question, simulate(held, call), story, _Caller(str(gateway.identity), view, held))

    def _caller(self, question: schemas.WhyQuestion) -> tuple[Workload, str]:
        workloads = self._publisher.snapshot.workloads
        if question.principal:
            wanted = question.principal.removeprefix("spiffe://")
            found = next((item for item in workloads.values() if item.identity.principal == wanted), None)
            found = found or _imagined(question.principal, self._publisher.snapshot.trust_domain)
            return found, str(found.identity)
        text = question.from_workload
        name = parse_proxy(text) if "/" in text else ObjectName(namespace="default", name=text)
        found = workloads.get(name) or _only_one([item for item in workloads.values() if item.name.name == text])
        if found is None:
            raise NotFoundError(f"workload {name} does not exist", "see `plait get workloads -A`")
        return found, str(found.identity)

    def _view(self, workload: Workload, *demand: str) -> View:
        return self._publisher.view_of(workload, demand)

    def _service(self, host: str, namespace: str) -> Service | None:
        snapshot = self._publisher.snapshot
        full = resolve_host(snapshot, host, namespace)
        if full:
            return snapshot.services.get(full)
        return next((service for service in snapshot.services.values() if service.address == host), None)

    def _outbound(
        self, question: schemas.WhyQuestion, target: Target, caller: Workload, service: Service | None
    ) -> Call:
        explicit = caller.capture is Capture.EXPLICIT
        return Call(
            direction=Direction.OUTBOUND,
            address="" if explicit else (service.address if service and service.address else target.address),
            port=target.port,
            http=target.is_http,
            method=question.method or "GET",
            authority=target.authority,
            path=target.path,
            headers=tuple(sorted(question.headers.items())),
            tls=target.scheme in ("tls", "https"),
            server_name=target.host if target.scheme in ("tls", "https") else "",
        )

    def _continue(
        self, question: schemas.WhyQuestion, outcome: Outcome, story: Story, caller: _Caller
    ) -> schemas.WhyAnswer:
        rule = self._sources.route(outcome.origin)
        tell_route(outcome, story, rule)
        for cluster in outcome.clusters:
            tell_treatment(cluster, treatment(caller.held, cluster), story, self._sources)
        choice = tuple(chain.from_iterable(self._chosen(cluster, caller, story) for cluster in outcome.clusters))
        policy: schemas.Source | None = None
        verdict, sentence, status = verdict_of(outcome)
        if verdict == "allowed":
            for cluster, weight in outcome.clusters.items():
                denied, policy = self._server.tell(question, outcome, story, cluster=cluster, identity=caller.identity)
                if denied and weight:
                    verdict, sentence, status = "denied", denied, 403
        nearest = max(outcome.misses, key=lambda miss: not miss[1].startswith("path "), default=None)
        return schemas.WhyAnswer(
            verdict=verdict,
            sentence=sentence,
            status=status,
            listener=" ".join(part for part in (outcome.listener, outcome.chain) if part),
            route=outcome.route or outcome.route_configuration,
            rule=rule,
            clusters=dict(outcome.clusters),
            endpoints=tuple(address for found in outcome.endpoints.values() for address in found),
            choice=choice,
            policy=policy,
            redirect=outcome.action.location,
            timeout=outcome.action.timeout or None,
            retries=outcome.action.retries,
            try_timeout=outcome.action.per_try_timeout or None,
            retry_on=outcome.action.retry_on if outcome.action.retries else "",
            path=outcome.action.path if outcome.clusters else "",
            host=outcome.action.authority if outcome.clusters else "",
            mirrors=dict(outcome.action.mirrors),
            steps=tuple(story.steps),
            nearest_miss=nearest_left_out(choice) or (f"{nearest[0]}: {nearest[1]}" if nearest else ""),
        )

    def _chosen(self, cluster: str, caller: _Caller, story: Story) -> tuple[schemas.WhyEndpoint, ...]:
        return tell_choice(cluster, story, view=caller.view, held=caller.held, snapshot=self._publisher.snapshot)


def _outside(bound: Bound, story: Story, source: schemas.Source) -> schemas.WhyAnswer:
    return schemas.WhyAnswer(
        verdict="passthrough" if bound.passes else "refused",
        sentence=f"{bound.sentence}." if bound.passes else f"It is refused: {bound.sentence}.",
        rule=source,
        steps=tuple(story.steps),
    )


def _imagined(principal: str, trust_domain: str) -> Workload:
    """A workload of that identity, where none runs; raises InvalidInputError for what is no identity of the mesh."""
    parsed = parse_workload(f"spiffe://{principal.removeprefix('spiffe://')}", trust_domain)
    if parsed is None:
        remedy = f"write spiffe://{trust_domain}/ns/NAMESPACE/sa/SERVICE-ACCOUNT"
        problem = f"{principal!r} is no identity of this mesh"
        raise InvalidInputError([Violation(path="principal", problem=problem, remedy=remedy)])
    namespace, account = parsed
    return Workload(
        name=ObjectName(namespace=namespace, name=f"(any workload of {account})"),
        node="",
        address="",
        machine_address="",
        identity=Identity(trust_domain=trust_domain, namespace=namespace, service_account=account),
    )


def _only_one(found: list[Workload]) -> Workload | None:
    return found[0] if len(found) == 1 else None
