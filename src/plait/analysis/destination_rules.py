"""DestinationRules: subsets that nothing is in, TLS that verifies nobody or that the server refuses."""

from collections.abc import Iterator
from typing import Final

from plait.analysis import messages
from plait.analysis.fields import Field
from plait.analysis.findings import Finding
from plait.analysis.mesh import ISTIO, SECURITY, Item, Mesh, Running, full_host

_VERIFYING: Final = ("SIMPLE", "MUTUAL")


def conflicting(mesh: Mesh) -> Iterator[Finding]:
    """DestinationRules of one namespace for one host, where both have a traffic policy and neither selects callers."""
    first: dict[tuple[str, str], Item] = {}
    for item in mesh.of(ISTIO, "DestinationRule"):
        if item.spec["workloadSelector"] or not item.spec["trafficPolicy"]:
            continue
        host = full_host(item.spec["host"].text, item.namespace)
        earlier = first.setdefault((item.namespace, host), item)
        if earlier is not item:
            sentence = f"DestinationRule {earlier.full_name} sets a traffic policy for {host} too"
            yield item.find(messages.CONFLICTING_DESTINATION_RULES, item.spec["host"], sentence, "join the two")


def empty_subsets(mesh: Mesh) -> Iterator[Finding]:
    """Subsets whose labels no workload behind the host has."""
    if not mesh.judges_selection:
        return
    for item in mesh.of(ISTIO, "DestinationRule"):
        behind = workloads_behind(mesh, item.spec["host"].text, item.namespace)
        for subset in item.spec["subsets"].items() if behind is not None else ():
            labels = subset["labels"].labels
            if not any(labels.items() <= found.labels.items() for found in behind or ()):
                wanted = ", ".join(f"{name}={value}" for name, value in sorted(labels.items()))
                sentence = f"no workload behind {item.spec['host'].text} has {wanted}"
                remedy = "start one with these labels, or correct them"
                yield item.find(messages.SUBSET_WITHOUT_WORKLOADS, subset, sentence, remedy)


def workloads_behind(mesh: Mesh, text: str, namespace: str) -> tuple[Running, ...] | None:
    """The workloads behind a host; None where these objects do not tell which they are."""
    host = mesh.host(text, namespace) if "*" not in text else None
    if host is None:
        return None
    kind = host.owner.resource.kind.kind
    labels = (
        host.owner.spec["selector"] if kind == "Service" else host.owner.spec.at("workloadSelector", "labels")
    ).labels
    return mesh.selected(labels, host.owner.namespace) if labels else None


def _policies(item: Item) -> Iterator[tuple[Field, str]]:
    """Each `tls` of a DestinationRule, with the port that it is for."""
    tops = [item.spec["trafficPolicy"], *(subset["trafficPolicy"] for subset in item.spec["subsets"].items())]
    for top in tops:
        if top["tls"]:
            yield top["tls"], ""
        for each in top["portLevelSettings"].items():
            if each["tls"]:
                yield each["tls"], str(each.at("port", "number").number)


def unverified(mesh: Mesh) -> Iterator[Finding]:
    """TLS towards servers whose certificate nobody looks at."""
    for item in mesh.of(ISTIO, "DestinationRule"):
        for tls, port in _policies(item):
            mode = tls["mode"].text
            skips = tls["insecureSkipVerify"].value is True
            if mode not in _VERIFYING or tls["caCertificates"] or (tls["credentialName"] and not skips):
                continue
            at = f" at port {port}" if port else ""
            host = item.spec["host"].text
            sentence = f"mode {mode}{at} names no caCertificates, so the certificate of {host} is not checked"
            remedy = "add caCertificates, such as system for those of the machine"
            yield item.find(messages.NO_VERIFICATION, tls, sentence, remedy)


def mutual_tls(mesh: Mesh) -> Iterator[Finding]:
    """TLS modes of callers that the PeerAuthentication of the servers refuses."""
    for item in mesh.of(ISTIO, "DestinationRule"):
        host = mesh.host(item.spec["host"].text, item.namespace) if item.spec["host"] else None
        if host is None or host.owner.resource.kind.kind != "Service":
            continue
        policy = _peer(mesh, host.owner)
        wanted = policy.spec.at("mtls", "mode").text if policy else ""
        for tls, _ in _policies(item) if policy else ():
            mode = tls["mode"].text
            if policy and (
                (wanted == "STRICT" and mode == "DISABLE") or (wanted == "DISABLE" and mode == "ISTIO_MUTUAL")
            ):
                sentence = f"mode {mode} meets PeerAuthentication {policy.full_name}, which says {wanted}"
                remedy = "remove tls here: callers know by themselves what the server takes"
                yield item.find(messages.MTLS_CONFLICT, tls["mode"], sentence, remedy)


def _peer(mesh: Mesh, service: Item) -> Item | None:
    """The PeerAuthentication that the workloads of a Service follow: of its labels, its namespace, the mesh."""
    labels = service.spec["selector"].labels.items()
    ranked: dict[int, Item] = {}
    for item in mesh.of(SECURITY, "PeerAuthentication"):
        wanted = item.spec.at("selector", "matchLabels").labels.items()
        if item.namespace == service.namespace and wanted and wanted <= labels:
            ranked.setdefault(0, item)
        elif item.namespace == service.namespace and not wanted:
            ranked.setdefault(1, item)
        elif item.namespace == mesh.root_namespace and not wanted:
            ranked.setdefault(2, item)
    return ranked[min(ranked)] if ranked else None
