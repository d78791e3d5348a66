"""The words of `plait why`: the steps of a call as sentences, and what becomes of it at the caller's own sidecar."""

from dataclasses import dataclass, field
from typing import Literal

from plait.api import schemas
from plait.controlplane.call_target import Target
from plait.controlplane.why_sources import Sources
from plait.envoy import names
from plait.envoy.actions import Action
from plait.envoy.simulate import Outcome
from plait.envoy.treatment import Treatment
from plait.model.ids import ObjectName
from plait.model.services import Service

Verdict = Literal["allowed", "denied", "refused", "answered", "redirected", "passthrough", "unknown"]


@dataclass(slots=True, kw_only=True)
class Story:
    """The answer's steps while they are put together."""

    steps: list[schemas.WhyStep] = field(default_factory=list[schemas.WhyStep])

    def tell(self, stage: str, outcome: str, *, resource: str = "", source: schemas.Source | None = None) -> None:
        """Add a step."""
        self.steps.append(schemas.WhyStep(stage=stage, outcome=outcome, resource=resource, source=source))


def name_sentence(target: Target, service: Service | None, holder: ObjectName | None) -> str:
    """What the name in the URL stands for: a service, or the address of the workload that is its `holder`."""
    if holder is not None:
        return f"{target.host} is the address of workload {holder}: mutual TLS as ever, but no route applies"
    if service is None:
        return f"{target.host} is no name of the mesh: the call leaves it as it is, in plaintext or the app's own TLS"
    address = f", address {service.address}" if service.address else ", headless"
    return f"{target.host} is {service.host}{address}"


def tell_route(outcome: Outcome, story: Story, rule: schemas.Source | None) -> None:
    """Tell where the caller's sidecar takes the call, which rules let it pass by, and which one took it."""
    if outcome.listener:
        story.tell("listener", f"the sidecar takes it in chain {outcome.chain}", resource=outcome.listener)
    for name, why in outcome.misses:
        story.tell("rule", f"{name} does not match: {why}")
    if outcome.route:
        does = _does(outcome.action, outcome.status)
        story.tell("route", f"{outcome.route} {does}", resource=outcome.route_configuration, source=rule)
    for weight, action in outcome.action.chances:
        part = weight / sum(share for share, _ in outcome.action.chances)
        story.tell("share", f"{100 * part:.3g} %: {_treats(action)}")
    if outcome.action.asks:
        story.tell("authorizer", f"{outcome.action.asks} is asked first, and what it does not allow ends there")
    faults = _faults(outcome)
    if faults:
        story.tell("fault", f"on purpose, {' and '.join(faults)}")
    if outcome.action.mirrors:
        copies = ", ".join(f"{share:.0%} to {name}" for name, share in outcome.action.mirrors)
        story.tell("mirror", f"copies go out: {copies}")


def _does(action: Action, status: int | None) -> str:
    """What a route does, in the words after its name."""
    if action.chances:
        return "treats requests by chance"
    only = len(action.clusters) == 1
    shares = ", ".join(name if only else f"{name} {weight}" for name, weight in action.clusters)
    return f"sends it to {shares}" if shares else (action.location or f"answers {status}")


def _treats(action: Action) -> str:
    """What becomes of one share of the requests, with what the backend sees."""
    if action.location:
        return f"it is redirected to {action.location}"
    if not action.clusters:
        return f"it is answered {action.status}"
    copies = "".join(f", copied to {name}" for name, _ in action.mirrors)
    return f"{_does(action, None)} as {action.authority}{action.path}{copies}"


def _faults(outcome: Outcome) -> list[str]:
    """What a rule does to requests on purpose."""
    (wait, waiting), (status, failing) = outcome.action.delay, outcome.action.abort
    found = [f"{waiting * 100:g} % of requests wait {wait:g} s"] if waiting and wait else []
    return [*found, f"{failing * 100:g} % are answered {status}"] if failing else found


def tell_treatment(cluster: str, found: Treatment | None, story: Story, sources: Sources) -> None:
    """Tell which DestinationRule the caller follows for a cluster, and how it chooses an endpoint."""
    parsed = names.parse_cluster(cluster)
    subset = parsed[2] if parsed else ""
    if found is None:
        if subset:
            story.tell("subset", f"no DestinationRule that the caller follows declares subset {subset}: {cluster}")
        return
    if not found.rule:
        return
    of = f"the endpoints of subset {subset}" if subset else "the endpoints"
    near = f", those in {' and '.join(found.preferred)} first" if found.preferred else ""
    story.tell("destination", f"{of} are balanced by {found.balancer}{near}", source=sources.route(found.rule))


def verdict_of(outcome: Outcome) -> tuple[Verdict, str, int | None]:
    """What becomes of the call as far as the caller's sidecar decides it: verdict, sentence, HTTP status."""
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
    elsewhere = dict.fromkeys(action.location for _, action in outcome.action.chances if action.location)
    shares = " or ".join((*outcome.clusters, *(f"is redirected to {location}" for location in elsewhere)))
    return "allowed", f"It goes to {shares}.", None
