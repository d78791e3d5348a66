"""The server's half of `plait why`: what an endpoint's sidecar does with the call, and by which policy."""

from typing import Final

from plait.api import schemas
from plait.controlplane.call_target import read_target
from plait.controlplane.publisher import Publisher, parse_proxy
from plait.controlplane.why_limits import named, shared_sentences
from plait.controlplane.why_sources import Sources
from plait.controlplane.why_story import Story
from plait.envoy import names
from plait.envoy.simulate import Call, Direction, Outcome, simulate
from plait.model.security import Action, MutualTlsMode
from plait.model.services import Endpoint
from plait.model.traffic import ClusterKey
from plait.model.view import InboundMode, InboundPort, View
from plait.snapshot.direct import endpoint_at

_ACCEPTED: Final = {
    MutualTlsMode.STRICT: "only mutual TLS",
    MutualTlsMode.PERMISSIVE: "mutual TLS and plaintext",
    MutualTlsMode.DISABLE: "only plaintext",
}


class ServerHalf:
    """Follows a call into the sidecars of the endpoints that it is sent to."""

    def __init__(self, publisher: Publisher, sources: Sources) -> None:
        self._publisher = publisher
        self._sources = sources

    def tell(
        self, question: schemas.WhyQuestion, outcome: Outcome, story: Story, *, cluster: str, identity: str
    ) -> tuple[str, schemas.Source | None]:
        """Tell how the servers of a cluster take the call: a sentence if they deny it, and the policy that decides."""
        endpoint = self._endpoint(cluster, outcome)
        if endpoint is None:
            story.tell("endpoint", f"{cluster} has no endpoint of the mesh")
            return "", None
        addresses = ", ".join(outcome.endpoints.get(cluster, ())) or f"{endpoint.address}:{endpoint.port}"
        how = f"mutual TLS, expecting {endpoint.identity}" if endpoint.identity else "plaintext: it has no identity"
        story.tell("endpoint", f"{cluster} is at {addresses}, called with {how}")
        self._tell_limits(cluster, story)
        server = self._publisher.snapshot.workloads.get(parse_proxy(endpoint.workload)) if endpoint.workload else None
        view = self._publisher.view_of(server) if server and server.in_mesh else None
        if view is None:
            return "", None
        inbound = self._inbound(question, outcome, view, cluster=cluster, caller=(endpoint, identity))
        told = self._tell_policy(inbound, story, view, endpoint)
        port = _port_of(view, endpoint)
        if port is not None and not told[0]:
            for sentence, origin in shared_sentences(port.protection, outcome.action.path or "/"):
                story.tell("limit", sentence, source=self._sources.of(origin) if origin else None)
        return told

    def _tell_limits(self, cluster: str, story: Story) -> None:
        """Tell what a service asks its callers' sidecars to keep to."""
        parsed = names.parse_cluster(cluster)
        service = self._publisher.snapshot.services.get(parsed[0]) if parsed else None
        for origin in service.protection.callers.origins if service else ():
            story.tell("limit", f"the caller keeps to {named(origin)}", source=self._sources.of(origin))

    def _inbound(
        self, question: schemas.WhyQuestion, outcome: Outcome, view: View, *, cluster: str, caller: tuple[Endpoint, str]
    ) -> Outcome:
        endpoint, identity = caller
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
            server_name=names.MESH_SERVER_NAME if endpoint.identity else "",
            protocols=("h2", "http/1.1") if names.parse_cluster(cluster) else (),
        )
        return simulate(self._publisher.resources_for(view), call)

    def _tell_policy(
        self, inbound: Outcome, story: Story, view: View, endpoint: Endpoint
    ) -> tuple[str, schemas.Source | None]:
        server = str(view.name)
        port = _port_of(view, endpoint)
        if port is not None:
            accepted = f"{server} accepts {_ACCEPTED[port.mutual_tls]} on port {endpoint.port}"
            reason = next(iter(port.reasons), None)
            story.tell(
                "server",
                f"{accepted} and {_processing(port)}",
                source=self._sources.of(reason.origin) if reason and reason.origin else None,
            )
        policy = self._sources.policy(inbound.rule)
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
        return self._sources.of(allowing.origin) if allowing else None

    def _endpoint(self, cluster: str, outcome: Outcome) -> Endpoint | None:
        place = names.parse_direct_cluster(cluster)
        if place is not None:
            return endpoint_at(self._publisher.snapshot, *place)
        parsed = names.parse_cluster(cluster)
        if parsed is None:
            return None
        host, port, subset = parsed
        snapshot = self._publisher.snapshot
        service = snapshot.services.get(host)
        if service is None:
            return None
        found = snapshot.endpoints.get(ClusterKey(service=service.name, port=port), ())
        called = outcome.endpoints.get(cluster, ())
        return next((item for item in found if item.healthy and (not subset or _is_among(item, called))), None)


def _is_among(endpoint: Endpoint, addresses: tuple[str, ...]) -> bool:
    reached = (f"{endpoint.address}:{endpoint.port}", f"{endpoint.machine_address}:{endpoint.published}")
    return not set(reached).isdisjoint(addresses)


def _processing(port: InboundPort) -> str:
    """How the server's sidecar processes a port, and what made it so."""
    if not port.protocol.is_http:
        return "passes bytes, since the port speaks no HTTP"
    if port.mode is InboundMode.BYTES:
        return "passes bytes: HTTP is processed once, by the caller's sidecar"
    asked = "; ".join(f"{reason.kind} {reason.name} {reason.because}" for reason in port.reasons)
    return f"processes HTTP, because {asked}"


def _port_of(view: View, endpoint: Endpoint) -> InboundPort | None:
    """The server's port behind an endpoint; in explicit capture the endpoint is the sidecar's own port."""
    found = (port for port in view.inbound if endpoint.port in (port.number, port.sidecar_port))
    return next(found, view.unlisted)
