"""The catalogue of messages. A code is never used again for something else; docs/reference/analysis.md is made of this.

0xx what is written, 1xx references, 2xx conflicts, 3xx what has no effect, 4xx ports, 5xx certificates and TLS,
6xx annotations, 7xx policies.
"""

from typing import Final

from plait.analysis.findings import Message, Severity

ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO


def _message(code: str, istio: str, severity: Severity, *words: str) -> Message:
    title, why = words
    return Message(code=code, istio=tuple(istio.split()), severity=severity, title=title, why=why)


SCHEMA: Final = _message(
    "PLT0001", "IST0106 IST0133", ERROR, "the object is not valid",
    "A field is unknown, missing or has a wrong value. `plait apply` refuses it in these words.",
)  # fmt: skip
DEPRECATED: Final = _message(
    "PLT0002", "IST0002", WARNING, "the field is deprecated",
    "Its owner replaced it; the successor says the same more precisely.",
)  # fmt: skip
NOT_ACTED_ON: Final = _message(
    "PLT0003", "", INFO, "the mesh does not act on this kind",
    "The object is stored for other tools. Nothing that it says has any effect on traffic.",
)  # fmt: skip
REFUSED: Final = _message(
    "PLT0004", "", ERROR, "the mesh does not accept the object, or a part of it",
    "The object is valid by itself, and yet cannot act here. The sentence is that of its status condition.",
)  # fmt: skip
REGEX: Final = _message(
    "PLT0005", "IST0122", ERROR, "the regular expression is not valid",
    "Envoy's expressions are RE2: no look-around, no back references.",
)  # fmt: skip
ENVOY_FILTER: Final = _message(
    "PLT0006", "IST0151 IST0152 IST0153 IST0154 IST0155", ERROR, "an EnvoyFilter does not act",
    "It patches the configuration of one version of one control plane. Plait does not apply it.",
)  # fmt: skip
UNKNOWN_HOST: Final = _message(
    "PLT0101", "IST0101", ERROR, "the host does not exist",
    "No Service and no ServiceEntry declares it, so calls that are sent there are answered 500 or 503.",
)  # fmt: skip
UNKNOWN_GATEWAY: Final = _message(
    "PLT0102", "IST0101", ERROR, "the gateway does not exist",
    "A route that names a gateway which does not exist serves nobody.",
)  # fmt: skip
UNKNOWN_SUBSET: Final = _message(
    "PLT0103", "IST0101", ERROR, "the subset does not exist",
    "No DestinationRule of the host declares it; calls that are sent there are answered 503.",
)  # fmt: skip
UNKNOWN_SECRET: Final = _message(
    "PLT0104", "IST0101", ERROR, "the Secret does not exist",
    "The listener has no certificate to show, so nobody can connect to it.",
)  # fmt: skip
UNKNOWN_PORT: Final = _message(
    "PLT0105", "IST0101", ERROR, "the host has no such port",
    "Calls that are sent to a port which the Service does not declare are answered 500 or 503.",
)  # fmt: skip
MISSING_GRANT: Final = _message(
    "PLT0106", "", ERROR, "a reference into another namespace is not granted",
    "Gateway API lets a namespace decide who may refer to its objects: without a ReferenceGrant there, nobody may.",
)  # fmt: skip
UNSERVED_CLASS: Final = _message(
    "PLT0107", "", WARNING, "no GatewayClass of this mesh has the Gateway's class",
    "Only Gateways of the classes plait and istio, and of classes with the controller plait.dev/gateway, are served.",
)  # fmt: skip
CONFLICTING_HOSTS: Final = _message(
    "PLT0201", "IST0109", ERROR, "several VirtualServices of sidecars claim the same host",
    "Only the oldest of them decides; what the others say is ignored.",
)  # fmt: skip
CONFLICTING_SIDECARS: Final = _message(
    "PLT0202", "IST0110", ERROR, "several Sidecars select the same workload",
    "Only the oldest of them bounds what the workload reaches.",
)  # fmt: skip
SIDECARS_OF_NAMESPACE: Final = _message(
    "PLT0203", "IST0111", ERROR, "several Sidecars stand for a whole namespace",
    "Only the oldest Sidecar without a workloadSelector acts.",
)  # fmt: skip
PORT_REQUIRED: Final = _message(
    "PLT0204", "IST0112", ERROR, "the destination needs a port",
    "The service has several ports, and the destination does not say which one is meant.",
)  # fmt: skip
MTLS_CONFLICT: Final = _message(
    "PLT0205", "IST0113", ERROR, "a DestinationRule and a PeerAuthentication disagree on mutual TLS",
    "Callers send what the server refuses: plaintext where only mutual TLS is taken, or the other way round.",
)  # fmt: skip
SHARED_PORT_PROTOCOLS: Final = _message(
    "PLT0206", "IST0116", WARNING, "services name one port of a workload for different protocols",
    "A workload's port speaks one protocol. One of the Services is wrong.",
)  # fmt: skip
SHARED_TARGET: Final = _message(
    "PLT0207", "IST0137", WARNING, "services lead from different ports to one port of a workload",
    "Policies and statistics that name one of the ports do not see calls to the other.",
)  # fmt: skip
CONFLICTING_GATEWAYS: Final = _message(
    "PLT0208", "IST0145", ERROR, "gateways or listeners claim the same port and hosts",
    "Only one of them takes the connections; which one, no reader can see.",
)  # fmt: skip
CONFLICTING_TELEMETRY: Final = _message(
    "PLT0209", "IST0159", ERROR, "several Telemetry objects select the same workload",
    "Only the oldest of them acts.",
)  # fmt: skip
TELEMETRY_OF_NAMESPACE: Final = _message(
    "PLT0210", "IST0160", ERROR, "several Telemetry objects stand for a whole namespace",
    "Only the oldest Telemetry without a selector acts.",
)  # fmt: skip
ENTRY_COLLISION: Final = _message(
    "PLT0211", "", ERROR, "the host is declared twice",
    "ServiceEntries for one host are joined where they agree; else the later one, or its port, has no effect there.",
)  # fmt: skip
CONFLICTING_DESTINATION_RULES: Final = _message(
    "PLT0212", "", WARNING, "several DestinationRules of a namespace are for the same host",
    "Their subsets are joined, but only the oldest one's traffic policy acts.",
)  # fmt: skip
DUPLICATE_CERTIFICATE: Final = _message(
    "PLT0213", "IST0138", WARNING, "gateways on different addresses show the same certificate",
    "Browsers reuse an HTTP/2 connection for every host of its certificate, and then meet the wrong gateway's 404.",
)  # fmt: skip
SHADOWED_RULE: Final = _message(
    "PLT0301", "IST0130", WARNING, "a rule is never reached",
    "A rule above it takes every request that it would take.",
)  # fmt: skip
SHADOWED_MATCH: Final = _message(
    "PLT0302", "IST0131", INFO, "a match is never reached",
    "A match above it takes every request that it would take; the other matches of its rule still act.",
)  # fmt: skip
HOST_NOT_SERVED: Final = _message(
    "PLT0303", "IST0132", WARNING, "no gateway serves the host",
    "The hosts of the route and of the gateway have no name in common, so the route takes no request there.",
)  # fmt: skip
SELECTS_NOTHING: Final = _message(
    "PLT0304", "IST0127", WARNING, "it selects no workload",
    "No workload of the namespace has these labels. A policy that selects nothing protects nothing.",
)  # fmt: skip
SUBSET_WITHOUT_WORKLOADS: Final = _message(
    "PLT0305", "", WARNING, "the subset has no workload",
    "No workload behind the host has the labels of the subset: calls that are sent there are answered 503.",
)  # fmt: skip
NO_WORKLOADS: Final = _message(
    "PLT0306", "IST0127", WARNING, "no workload is behind the service",
    "Its selector finds nothing, so calls are answered 503.",
)  # fmt: skip
NO_ROUTES: Final = _message(
    "PLT0307", "", INFO, "the gateway has no routes",
    "It takes connections and answers every request 404.",
)  # fmt: skip
GATEWAY_PORT: Final = _message(
    "PLT0308", "IST0162", WARNING, "the gateway's port is not on its Service",
    "Clients reach the gateway through the Service, which does not declare the port.",
)  # fmt: skip
NO_WEIGHT: Final = _message(
    "PLT0309", "", WARNING, "the rule sends requests nowhere",
    "All its weights are 0, or it has no destinations: every request is answered 500.",
)  # fmt: skip
SUBSET_AT_GATEWAY: Final = _message(
    "PLT0310", "IST0140", WARNING, "the subset has no effect on requests through gateways",
    "The VirtualService is bound to sidecars only, while another one leads gateways to the same host without a subset.",
)  # fmt: skip
PORT_NAME: Final = _message(
    "PLT0401", "IST0118", INFO, "the port does not say what it speaks",
    "Neither appProtocol nor the prefix of its name says it, so it is learnt from registrations and known numbers.",
)  # fmt: skip
PORT_PROTOCOL: Final = _message(
    "PLT0402", "", WARNING, "the port is named for another protocol",
    "The prefix of its name and its appProtocol, or its well-known number, contradict each other.",
)  # fmt: skip
EXTERNAL_NAME_PORT: Final = _message(
    "PLT0403", "IST0150", WARNING, "the port of an ExternalName is named for TCP",
    "An ExternalName has no address of its own by which connections could be told apart.",
)  # fmt: skip
ENTRY_ADDRESSES: Final = _message(
    "PLT0404", "IST0134", INFO, "a TCP host has no addresses",
    "Connections are told apart by address alone. The mesh gives the host one, which only its own DNS answers.",
)  # fmt: skip
JWT_PORT: Final = _message(
    "PLT0405", "IST0119", WARNING, "tokens are asked of a port that is not HTTP",
    "A token is in a header, and a port named for TCP has none.",
)  # fmt: skip
NO_VERIFICATION: Final = _message(
    "PLT0501", "IST0128 IST0129", WARNING, "the server's certificate is not verified",
    "Without caCertificates anybody who answers is believed.",
)  # fmt: skip
BAD_CERTIFICATE: Final = _message(
    "PLT0502", "IST0161", ERROR, "the certificate cannot be used",
    "It cannot be read, has expired, or its key is another's: clients cannot connect.",
)  # fmt: skip
CERTIFICATE_EXPIRES: Final = _message(
    "PLT0503", "", WARNING, "the certificate expires soon",
    "In less than 30 days clients cannot connect any more.",
)  # fmt: skip
CERTIFICATE_HOST: Final = _message(
    "PLT0504", "", WARNING, "the certificate is for other hosts",
    "Clients refuse a certificate that does not name the host that they asked for.",
)  # fmt: skip
UNKNOWN_ANNOTATION: Final = _message(
    "PLT0601", "IST0108", WARNING, "the annotation is unknown",
    "Nobody reads it: most likely it is misspelt.",
)  # fmt: skip
MISPLACED_ANNOTATION: Final = _message(
    "PLT0602", "IST0107 IST0125", WARNING, "the annotation has no effect on this kind",
    "It is read on objects of another kind only.",
)  # fmt: skip
ISTIO_ANNOTATION: Final = _message(
    "PLT0603", "IST0135 IST0136", INFO, "Istio's annotation is not read",
    "It sets something of Istio's sidecars. The mesh does not act on it.",
)  # fmt: skip
JWT_CLAIM_ROUTING: Final = _message(
    "PLT0701", "IST0149", ERROR, "a rule matches claims of a token",
    "Routes cannot ask for claims in this release, so the object is refused.",
)  # fmt: skip
TELEMETRY_PROVIDER: Final = _message(
    "PLT0702", "IST0157", WARNING, "a Telemetry names no provider",
    "Without a provider it says nothing.",
)  # fmt: skip
POLICY_IDENTITY: Final = _message(
    "PLT0703", "", WARNING, "a policy asks for identities where callers have none",
    "The port takes plaintext, whose callers prove no identity: an ALLOW rule with principals never lets them in.",
)  # fmt: skip
POLICY_NOBODY: Final = _message(
    "PLT0704", "", INFO, "a policy names an account that nothing runs as",
    "The rule takes no caller: most likely the namespace or the account is misspelt.",
)  # fmt: skip

MESSAGES: Final[tuple[Message, ...]] = tuple(
    sorted((value for value in tuple(globals().values()) if isinstance(value, Message)), key=lambda found: found.code)
)
"""Every message, by code."""

NOT_HERE: Final = {
    "IST0001": "an internal error of Istio's tool",
    "IST0102": "no injection: `plait run` gives a workload its sidecar",
    "IST0103": "no injection: a workload without a sidecar is outside the mesh and `plait get workloads` says so",
    "IST0123": "no injection labels",
    "IST0126": "no mesh networks: machines join by `plait node --join`",
    "IST0139": "no webhooks",
    "IST0141": "nothing is installed in a cluster",
    "IST0142": "no Kubernetes is needed",
    "IST0143": "what an app listens on is no configuration",
    "IST0144": "sidecars run as a user of their own: `plait doctor` looks at that",
    "IST0146": "no injection",
    "IST0147": "no injection",
    "IST0148": "no injection",
    "IST0156": "the kinds of Gateway API are built in",
    "IST0158": "sidecars are of the node agent's version: `plait status` shows it",
    "IST0163": "no external control plane",
    "IST0164": "no external control plane",
    "IST0165": "one store for all machines",
}
"""What `istioctl analyze` finds and cannot be here, with the reason."""
