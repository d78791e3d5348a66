"""`plait why`: where a call would go and why, as the simulation of what the two proxies hold tells it.

The caller's half is computed on its own view with the called host demanded, the server's half on the view of each
endpoint's workload, with the caller's identity proven by mutual TLS. Every decision leads back to the object that it
came from, by the origin in a route's metadata and by the names of policies.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from plait.api import schemas
from plait.controlplane.call_target import Target, read_target
from plait.controlplane.publisher import Publisher, parse_proxy
from plait.envoy import names
from plait.envoy.simulate import Call, Direction, Outcome, simulate
from plait.errors import NotFoundError
from plait.model.ids import ObjectName, Origin
from plait.model.security import Action, MutualTlsMode
from plait.model.services import Capture, Endpoint, Service, Workload, WorkloadKind
from plait.model.traffic import ClusterKey
from plait.model.view import InboundPort, View
from plait.snapshot.names import resolve_host

_ORIGIN = re.compile(r"(?P<kind>\S+) (?P<namespace>[^/\s]*)/(?P<name>\S+) ?(?P<path>.*)")
_RULE = re.compile(r"(?P<namespace>[^/]+)/(?P<name>[^\[]+)\[(?P<index>\d+)\]")

Locate = Callable[[Origin], Origin]
Verdict = Literal["allowed", "denied", "refused", "answered", "redirected", "passthrough", "unknown"]


@dataclass(slots=True, kw_only=True)
class _Story:
    """The answer while it is put together."""

    steps: list[schemas.WhyStep] = field(default_factory=list[schemas.WhyStep])

    def tell(self, stage: str, outcome: str, *, resource: str = "", source: schemas.Source | None = None) -> None:
        self.steps.append(schemas.WhyStep(stage=stage, outcome=outcome, resource=resource, source=source))


class Why:
    """Answers questions on the newest snapshot."""

    def __init__(self, publisher: Publisher, locate: Locate) -> None:
        self._publisher = publisher
        self._locate = locate

    def answer(self, question: schemas.WhyQuestion) -> schemas.WhyAnswer:
        """The answer; raises NotFoundError for an unknown caller, InvalidInputError for a URL that is none."""
        target = read_target(question.url)
        caller, identity = self._caller(question)
        if caller.kind is WorkloadKind.GATEWAY:
            return self._from_gateway(question, target, caller)
        view = self._view(caller, target.host)
        story = _Story()
        story.tell("caller", f"{caller.name} calls as {identity}")
        service = self._service(target.host, caller.name.namespace)
        call = self._outbound(question, target, caller, service)
        story.tell("name", self._name_sentence(target, service))
        outcome = simulate(self._publisher.resources_for(view), call)
        return self._continue(question, outcome, story, identity=identity)

    def _from_gateway(self, question: schemas.WhyQuestion, target: Target, gateway: Workload) -> schemas.WhyAnswer:
        view = self._view(gateway, "")
        story = _Story()
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
        outcome = simulate(self._publisher.resources_for(view), call)
        return self._continue(question, outcome, story, identity=str(gateway.identity))

    def _caller(self, question: schemas.WhyQuestion) -> tuple[Workload, str]:
        workloads = self._publisher.snapshot.workloads
        if question.principal:
            wanted = question.principal.removeprefix("spiffe://")
            found = next((item for item in workloads.values() if item.identity.principal == wanted), None)
            if found is None:
                raise NotFoundError(f"no workload runs as {question.principal}", "name a workload with --from")
            return found, str(found.identity)
        text = question.from_workload
        name = parse_proxy(text) if "/" in text else ObjectName(namespace="default", name=text)
        found = workloads.get(name) or _only_one([item for item in workloads.values() if item.name.name == text])
        if found is None:
            raise NotFoundError(f"workload {name} does not exist", "see `plait get workloads -A`")
        return found, str(found.identity)

    def _view(self, workload: Workload, host: str) -> View:
        view = self._publisher.view_of(workload.proxy, [host] if host else [])
        if view is None:
            raise NotFoundError(f"workload {workload.name} does not exist", "see `plait get workloads -A`")
        return view

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
        )

    def _name_sentence(self, target: Target, service: Service | None) -> str:
        if service is None:
            return (
                f"{target.host} is no name of the mesh: the call leaves it as it is, in plaintext or the app's own TLS"
            )
        address = f", address {service.address}" if service.address else ", headless"
        return f"{target.host} is {service.host}{address}"

    def _continue(
        self, question: schemas.WhyQuestion, outcome: Outcome, story: _Story, *, identity: str
    ) -> schemas.WhyAnswer:
        rule = self._source(outcome.origin)
        self._tell_route(outcome, story, rule)
        policy: schemas.Source | None = None
        verdict, sentence, status = self._verdict(outcome)
        if verdict == "allowed":
            for cluster, weight in outcome.clusters.items():
                denied, policy = self._tell_server(question, outcome, story, cluster, identity=identity)
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
            policy=policy,
            redirect=outcome.action.location,
            timeout=outcome.action.timeout or None,
            retries=outcome.action.retries,
            steps=tuple(story.steps),
            nearest_miss=f"{nearest[0]}: {nearest[1]}" if nearest and outcome.status == 404 else "",
        )

    def _tell_route(self, outcome: Outcome, story: _Story, rule: schemas.Source | None) -> None:
        if outcome.listener:
            story.tell("listener", f"the sidecar takes it in chain {outcome.chain}", resource=outcome.listener)
        for name, why in outcome.misses:
            story.tell("rule", f"{name} does not match: {why}")
        if outcome.route:
            shares = ", ".join(f"{name} {weight}" for name, weight in outcome.clusters.items())
            does = f"sends it to {shares}" if shares else (outcome.action.location or f"answers {outcome.status}")
            story.tell("route", f"{outcome.route} {does}", resource=outcome.route_configuration, source=rule)
        if outcome.action.mirrors:
            copies = ", ".join(f"{share:.0%} to {name}" for name, share in outcome.action.mirrors)
            story.tell("mirror", f"copies go out: {copies}")

    def _verdict(self, outcome: Outcome) -> tuple[Verdict, str, int | None]:
        if outcome.denied:
            return "denied", f"The sidecar of the caller denies it: {outcome.reason}.", outcome.status
        if outcome.action.location:
            return "redirected", f"It is redirected to {outcome.action.location}.", outcome.status
        if outcome.status is not None:
            reason = outcome.reason or "the rule says so"
            return "answered", f"The mesh itself answers {outcome.status}: {reason}.", outcome.status
        if not outcome.clusters:
            return "refused", f"It is refused: {outcome.reason or 'nothing takes it'}.", None
        if names.PASSTHROUGH_CLUSTER in outcome.clusters:
            return "passthrough", "It leaves the mesh as it is: the destination is no service of the mesh.", None
        shares = " or ".join(outcome.clusters)
        return "allowed", f"It goes to {shares}.", None

    def _tell_server(
        self,
        question: schemas.WhyQuestion,
        outcome: Outcome,
        story: _Story,
        cluster: str,
        *,
        identity: str,
    ) -> tuple[str, schemas.Source | None]:
        endpoint = self._endpoint(cluster)
        if endpoint is None:
            story.tell("endpoint", f"{cluster} has no endpoint of the mesh")
            return "", None
        addresses = ", ".join(outcome.endpoints.get(cluster, ())) or f"{endpoint.address}:{endpoint.port}"
        how = f"mutual TLS, expecting {endpoint.identity}" if endpoint.identity else "plaintext: it has no identity"
        story.tell("endpoint", f"{cluster} is at {addresses}, called with {how}")
        server = self._publisher.snapshot.workloads.get(parse_proxy(endpoint.workload)) if endpoint.workload else None
        if server is None or not server.in_mesh:
            return "", None
        view = self._view(server, "")
        inbound = self._inbound(question, outcome, view, endpoint=endpoint, identity=identity)
        return self._tell_policy(inbound, story, view, endpoint)

    def _inbound(
        self, question: schemas.WhyQuestion, outcome: Outcome, view: View, *, endpoint: Endpoint, identity: str
    ) -> Outcome:
        port = _port_of(view, endpoint)
        call = Call(
            direction=Direction.INBOUND,
            address=endpoint.address,
            port=port.number if port and port.sidecar_port else endpoint.port,
            http=read_target(question.url).is_http,
            method=question.method or "GET",
            authority=outcome.action.authority,
            path=outcome.action.path or "/",
            headers=tuple(sorted(question.headers.items())),
            identity=identity if endpoint.identity else "",
            tls=bool(endpoint.identity),
        )
        return simulate(self._publisher.resources_for(view), call)

    def _tell_policy(
        self, inbound: Outcome, story: _Story, view: View, endpoint: Endpoint
    ) -> tuple[str, schemas.Source | None]:
        server = str(view.name)
        port = _port_of(view, endpoint)
        if port is not None:
            strict = "only mutual TLS" if port.mutual_tls is MutualTlsMode.STRICT else "mutual TLS and plaintext"
            story.tell("server", f"{server} accepts {strict} on port {endpoint.port} and processes {port.mode}")
        policy = self._policy(inbound.rule)
        if inbound.denied:
            policy = policy or self._nearest_policy(port)
            story.tell("policy", inbound.reason, source=policy)
            return f"{server} denies it: {inbound.reason}.", policy
        if inbound.reason and not inbound.clusters:
            story.tell("server", inbound.reason)
            return f"{server} refuses it: {inbound.reason}.", None
        applied = port.policies if port is not None else ()
        told = (
            f"rule {inbound.rule} allows it" if policy else ("no policy denies it" if applied else "no policy applies")
        )
        story.tell("policy", told, source=policy)
        return "", policy

    def _nearest_policy(self, port: InboundPort | None) -> schemas.Source | None:
        """The ALLOW policy without which the call would not be denied."""
        policies = port.policies if port is not None else ()
        allowing = next((policy for policy in policies if policy.action is Action.ALLOW), None)
        return self._located(allowing.origin) if allowing else None

    def _endpoint(self, cluster: str) -> Endpoint | None:
        parsed = names.parse_cluster(cluster)
        if parsed is None:
            return None
        host, port, subset = parsed
        snapshot = self._publisher.snapshot
        service = snapshot.services.get(host)
        if service is None:
            return None
        found = snapshot.endpoints.get(ClusterKey(service=service.name, port=port, subset=subset), ())
        return next((endpoint for endpoint in found if endpoint.healthy), None)

    def _policy(self, rule: str) -> schemas.Source | None:
        match = _RULE.fullmatch(rule)
        if match is None:
            return None
        origin = Origin(
            kind="AuthorizationPolicy",
            namespace=match["namespace"],
            name=match["name"],
            path=f"spec.rules[{match['index']}]",
        )
        return self._located(origin)

    def _source(self, text: str) -> schemas.Source | None:
        match = _ORIGIN.fullmatch(text)
        if match is None:
            return None
        return self._located(
            Origin(kind=match["kind"], namespace=match["namespace"], name=match["name"], path=match["path"])
        )

    def _located(self, origin: Origin) -> schemas.Source:
        found = self._locate(origin)
        return schemas.Source(
            kind=found.kind,
            namespace=found.namespace,
            name=found.name,
            path=found.path,
            file=found.file,
            line=found.line,
        )


def _port_of(view: View, endpoint: Endpoint) -> InboundPort | None:
    """The server's port behind an endpoint; in explicit capture the endpoint is the sidecar's own port."""
    found = (port for port in view.inbound if endpoint.port in (port.number, port.sidecar_port))
    return next(found, view.unlisted)


def _only_one(found: list[Workload]) -> Workload | None:
    return found[0] if len(found) == 1 else None
