"""Policies and Sidecars: selectors that find nothing, two that claim the same workload, rules that take nobody."""

from collections.abc import Iterator
from itertools import combinations
from typing import Final

from plait.analysis import messages
from plait.analysis.fields import Field
from plait.analysis.findings import Finding, Message
from plait.analysis.mesh import ISTIO, SECURITY, TELEMETRY, Item, Mesh
from plait.analysis.services import spoken

_SELECTORS: Final = (
    (SECURITY, "AuthorizationPolicy", ("selector", "matchLabels")),
    (SECURITY, "PeerAuthentication", ("selector", "matchLabels")),
    (SECURITY, "RequestAuthentication", ("selector", "matchLabels")),
    (TELEMETRY, "Telemetry", ("selector", "matchLabels")),
    (ISTIO, "Sidecar", ("workloadSelector", "labels")),
    (ISTIO, "DestinationRule", ("workloadSelector", "matchLabels")),
    (ISTIO, "ServiceEntry", ("workloadSelector", "labels")),
    (ISTIO, "ProxyConfig", ("selector", "matchLabels")),
)


def selects_nothing(mesh: Mesh) -> Iterator[Finding]:
    """Selectors that no workload's labels meet."""
    if not mesh.judges_selection:
        return
    for group, kind, place in _SELECTORS:
        for item in mesh.of(group, kind):
            field = item.spec.at(*place)
            namespace = "" if item.namespace == mesh.root_namespace else item.namespace
            if field and not mesh.selected(field.labels, namespace):
                wanted = ", ".join(f"{name}={value}" for name, value in sorted(field.labels.items()))
                where = f"of namespace {item.namespace} " if namespace else ""
                sentence = f"no workload {where}has {wanted}"
                remedy = "correct the labels or the namespace, or remove it"
                yield item.find(messages.SELECTS_NOTHING, field, sentence, remedy)


def conflicting(mesh: Mesh) -> Iterator[Finding]:
    """Sidecars, and Telemetry objects, for the same workloads."""
    yield from _pairs(
        mesh,
        mesh.of(ISTIO, "Sidecar"),
        ("workloadSelector", "labels"),
        (messages.CONFLICTING_SIDECARS, messages.SIDECARS_OF_NAMESPACE),
    )
    yield from _pairs(
        mesh,
        mesh.of(TELEMETRY, "Telemetry"),
        ("selector", "matchLabels"),
        (messages.CONFLICTING_TELEMETRY, messages.TELEMETRY_OF_NAMESPACE),
    )


def _pairs(
    mesh: Mesh, items: tuple[Item, ...], place: tuple[str, str], kinds: tuple[Message, Message]
) -> Iterator[Finding]:
    for one, other in combinations(items, 2):
        if one.namespace != other.namespace:
            continue
        kind = one.resource.kind.kind
        first, second = one.spec.at(*place), other.spec.at(*place)
        if not first and not second:
            sentence = f"{kind} {one.full_name} has no selector either"
            yield other.find(kinds[1], "metadata.name", sentence, "give one a selector, or join them")
        elif first and second and (shared := _shared(mesh, one.namespace, first, second)):
            sentence = f"{kind} {one.full_name} selects {shared} too"
            yield other.find(kinds[0], second, sentence, "select each workload once")


def _shared(mesh: Mesh, namespace: str, first: Field, second: Field) -> str:
    """What both select: the name of a workload, or the labels if they are the same."""
    both = [item for item in mesh.selected(first.labels, namespace) if second.labels.items() <= item.labels.items()]
    if both:
        return both[0].name
    return "the same labels" if first.labels == second.labels else ""


def tokens_of_tcp(mesh: Mesh) -> Iterator[Finding]:
    """RequestAuthentications whose workloads serve only ports that are named for TCP."""
    for item in mesh.of(SECURITY, "RequestAuthentication"):
        labels = item.spec.at("selector", "matchLabels").labels
        for service in mesh.of("", "Service") if labels and item.spec["jwtRules"] else ():
            selector = service.spec["selector"].labels
            if service.namespace != item.namespace or not selector or not labels.items() <= selector.items():
                continue
            for port in service.spec["ports"].items():
                if (spoken(port["appProtocol"].text) or spoken(port["name"].text)) == "TCP":
                    sentence = f"port {port['port'].number} of Service {service.full_name} is named for TCP"
                    yield item.find(messages.JWT_PORT, item.spec["jwtRules"], sentence, "name the port http or grpc")


def telemetry_providers(mesh: Mesh) -> Iterator[Finding]:
    """Telemetry objects that name no provider."""
    for item in mesh.of(TELEMETRY, "Telemetry"):
        for kind in ("tracing", "accessLogging", "metrics"):
            for part in item.spec[kind].items():
                if part["providers"].value == []:
                    sentence = f"{kind} has an empty list of providers"
                    yield item.find(
                        messages.TELEMETRY_PROVIDER, part["providers"], sentence, "name one, or leave it out"
                    )


def plaintext_identities(mesh: Mesh) -> Iterator[Finding]:
    """ALLOW rules that ask for identities in a namespace where mutual TLS is disabled."""
    disabled = {
        item.namespace
        for item in mesh.of(SECURITY, "PeerAuthentication")
        if item.spec.at("mtls", "mode").text == "DISABLE" and not item.spec["selector"]
    }
    for item in mesh.of(SECURITY, "AuthorizationPolicy"):
        if disabled.isdisjoint((item.namespace, mesh.root_namespace)) or item.spec["action"].text not in ("", "ALLOW"):
            continue
        for field in _identities(item):
            sentence = "mutual TLS is disabled for the namespace, so no caller proves an identity"
            yield item.find(
                messages.POLICY_IDENTITY, field, sentence, "set mtls.mode to STRICT, or match something else"
            )


def _identities(item: Item) -> Iterator[Field]:
    for rule in item.spec["rules"].items():
        for source in rule["from"].items():
            for name in ("principals", "namespaces", "serviceAccounts"):
                if found := source.at("source", name):
                    yield found


def unknown_accounts(mesh: Mesh) -> Iterator[Finding]:
    """Principals of service accounts that no workload of a running mesh has."""
    if not mesh.complete:
        return
    accounts = {
        f"{item.namespace}/{item.spec['serviceAccount'].text or 'default'}" for item in mesh.of(ISTIO, "WorkloadEntry")
    } | {item.full_name for item in mesh.of("", "ServiceAccount")}
    for item in mesh.of(SECURITY, "AuthorizationPolicy"):
        for field in _identities(item):
            for principal in field.items() if field.path.endswith("principals") else ():
                _, _, rest = principal.text.partition("/ns/")
                namespace, _, account = rest.partition("/sa/")
                if account and "*" not in principal.text and f"{namespace}/{account}" not in accounts:
                    sentence = f"nothing runs as {namespace}/{account}"
                    yield item.find(messages.POLICY_NOBODY, principal, sentence, "correct the namespace or the account")
