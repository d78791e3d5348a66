"""networking.istio.io Sidecar: what workloads may reach.

https://istio.io/latest/docs/reference/config/networking/sidecar/
"""

import ipaddress
import re
from collections.abc import Iterator
from typing import Annotated, Final, Literal

from pydantic import Field

from plait.resources.istio.matches import Destination, Names
from plait.resources.istio.selectors import NetworkingSelector
from plait.resources.istio.server_tls import ServerTLSSettings
from plait.resources.istio.traffic_policy import ConnectionPoolSettings
from plait.resources.meta import KubernetesObject
from plait.resources.schema import Finding, Model, Unsigned, when

CaptureMode = Literal["DEFAULT", "IPTABLES", "NONE"]

_LABEL: Final = re.compile(r"[a-zA-Z0-9]([-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?")
_PROTOCOLS: Final = frozenset(
    ("tcp", "udp", "grpc", "grpc-web", "http", "http_proxy", "http2", "https", "tls", "mongo", "redis", "mysql")
)

_OWN_ADDRESSES: Final = ("", "127.0.0.1", "0.0.0.0", "::1", "::")  # noqa: S104 (what Istio lets a user write)
_UNIX: Final = "unix://"
_NO_PORT: Final = "sidecar: the egress listener with empty port should be the last listener in the list"
_ENDPOINT: Final = (
    "sidecar: defaultEndpoint must be of form 127.0.0.1:<port>,0.0.0.0:<port>,[::1]:port,[::]:port,unix://filepath"
    " or unset"
)


class SidecarPort(Model):
    """A port."""

    number: Unsigned | None = None
    """The port; 0 for a unix socket."""
    protocol: str = ""
    """What is spoken: HTTP, HTTPS, GRPC, HTTP2, MONGO, TCP, TLS, ..."""
    name: str = ""
    """Its name."""
    target_port: Unsigned | None = None
    """Must be left out."""

    def broken(self) -> Iterator[Finding]:
        """The protocol is known, the name a label, and there is no other port behind it."""
        unknown = bool(self.protocol) and self.protocol.lower() not in _PROTOCOLS
        yield from when(unknown, f"unsupported protocol: {self.protocol}", "protocol")
        named = not self.name or _LABEL.fullmatch(self.name)
        yield from when(not named, f"invalid port name: {self.name}", "name")
        yield from when(bool(self.target_port), "targetPort has no impact on Sidecars", "targetPort")
        far = f"port number {self.number} must be in the range 1..65535"
        yield from when((self.number or 0) > 65535, far, "number")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _broken_socket(path: str, *field: str | int) -> Iterator[Finding]:
    """A unix socket's path is absolute; one that starts with @ is abstract."""
    yield from when(not path, "unix address must not be empty", *field)
    absolute = path.startswith("@") or (path.startswith("/") and not path.endswith("/"))
    yield from when(bool(path) and not absolute, f"{path} is not an absolute path to a file", *field)


class IstioIngressListener(Model):
    """A port that the sidecar accepts calls on."""

    port: SidecarPort
    """The port."""
    bind: str = ""
    """Address that it listens on."""
    capture_mode: CaptureMode = "DEFAULT"
    """How calls get there."""
    default_endpoint: str = ""
    """Where the app listens: 127.0.0.1:PORT, 0.0.0.0:PORT or unix:///PATH."""
    tls: ServerTLSSettings | None = None
    """TLS that is accepted."""
    connection_pool: ConnectionPoolSettings | None = None
    """Limits of connections."""

    def broken(self) -> Iterator[Finding]:
        """The port is one, the address an IP address, and the app on this machine."""
        number = self.port.number or 0
        yield from when(not number, f"port number {number} must be in the range 1..65535", "port", "number")
        yield from when(bool(self.bind) and not _is_address(self.bind), f"{self.bind} is not a valid IP", "bind")
        yield from self._broken_endpoint()
        yield from self._broken_tls()

    def _broken_endpoint(self) -> Iterator[Finding]:
        text = self.default_endpoint
        if not text:
            return
        if text.startswith(_UNIX):
            yield from _broken_socket(text.removeprefix(_UNIX), "defaultEndpoint")
            return
        host, colon, port = text.rpartition(":")
        own = colon and host.removeprefix("[").removesuffix("]") in _OWN_ADDRESSES
        yield from when(not own, _ENDPOINT, "defaultEndpoint")
        number = int(port) if port.isascii() and port.isdecimal() and len(port) < 6 else 0
        wrong = f"sidecar: defaultEndpoint port ({port}) is not a number from 1 to 65535"
        yield from when(bool(own) and not 0 < number <= 65535, wrong, "defaultEndpoint")

    def _broken_tls(self) -> Iterator[Finding]:
        tls = self.tls
        if tls is None:
            return
        yield from when(
            bool(tls.subject_alt_names),
            "sidecar: subjectAltNames is not supported in ingress tls",
            "tls",
            "subjectAltNames",
        )
        yield from when(tls.https_redirect, "sidecar: httpsRedirect is not supported", "tls", "httpsRedirect")
        for field, given in (
            ("credentialName", tls.credential_name),
            ("credentialNames", tls.credential_names),
            ("tlsCertificates", tls.tls_certificates),
        ):
            yield from when(bool(given), f"sidecar: {field} is not currently supported", "tls", field)
        mode = tls.mode in ("ISTIO_MUTUAL", "AUTO_PASSTHROUGH")
        problem = f"configuration is invalid: cannot set mode to {tls.mode} in sidecar ingress tls"
        yield from when(mode, problem, "tls", "mode")
        secure = self.port.protocol.lower() in ("https", "tls")
        yield from when(not secure, "server cannot have TLS settings for non HTTPS/TLS ports", "tls")


class IstioEgressListener(Model):
    """What the workload may reach."""

    port: SidecarPort | None = None
    """Only on this port of the services; on all that no other listener names if left out."""
    bind: str = ""
    """Address that it listens on."""
    capture_mode: CaptureMode = "DEFAULT"
    """How calls get there."""
    hosts: Annotated[Names, Field(min_length=1)]
    """Services, as NAMESPACE/HOST. Namespace: a name, `*` any, `.` the workload's own; with `~` in front (`~/HOST`,
    `~NAMESPACE/HOST`) they are left out. Host: a full name, `*` all, `*.example.com` all below it."""

    def broken(self) -> Iterator[Finding]:
        """Hosts have a namespace and a full name; an address has a port."""
        for index, host in enumerate(self.hosts):
            problem = _host_problem(host)
            yield from when(bool(problem), f'Invalid value: "{host}": {problem}', "hosts", index)
        if self.port is None:
            yield from when(bool(self.bind), "sidecar: bind needs a port", "bind")
        elif self.port.number:
            yield from when(bool(self.bind) and not _is_address(self.bind), f"{self.bind} is not a valid IP", "bind")
        elif not self.bind.startswith(_UNIX):
            problem = "sidecar: ports with 0 value must have a unix domain socket bind address"
            yield from when(True, problem, "port", "number")
        else:
            yield from _broken_socket(self.bind.removeprefix(_UNIX), "bind")
            problem = "sidecar: captureMode must be DEFAULT/NONE for unix domain socket listeners"
            yield from when(self.capture_mode == "IPTABLES", problem, "captureMode")


def _host_problem(text: str) -> str:
    """What is wrong with NAMESPACE/HOST, empty if nothing."""
    namespace, slash, host = text.partition("/")
    if not slash:
        return "host must be of form namespace/dnsName"
    if not namespace or not host:
        return "config namespace and dnsName in host entry cannot be empty"
    name = namespace.removeprefix("~")
    if name not in ("", "*", ".") and not _LABEL.fullmatch(name):
        return f'invalid namespace value "{namespace}" in sidecar'
    return "" if host == "*" else _name_problem(host)


def _name_problem(host: str) -> str:
    if "." not in host:
        return "short names (non FQDN) are not allowed"
    if "*" in host.removeprefix("*."):
        return f'partial wildcard "{host}" not allowed'
    labels = host.removeprefix("*.").removesuffix(".").split(".")
    if len(host) > 255 or not all(_LABEL.fullmatch(label) for label in labels) or labels[-1].isdecimal():
        return f'domain name "{host}" invalid'
    return ""


class OutboundTrafficPolicy(Model):
    """What happens with calls to hosts that the mesh does not know."""

    mode: Literal["REGISTRY_ONLY", "ALLOW_ANY"] = "REGISTRY_ONLY"
    """Refuse them or pass them."""
    egress_proxy: Destination | None = None
    """Who gets them."""

    def broken(self) -> Iterator[Finding]:
        """A proxy is for hosts that pass, and has a port."""
        if self.egress_proxy is None:
            return
        problem = "sidecar: egress_proxy must be set only with ALLOW_ANY outbound_traffic_policy mode"
        yield from when(self.mode != "ALLOW_ANY", problem, "egressProxy")
        port = self.egress_proxy.port
        missing = port is None or port.number is None
        yield from when(missing, "sidecar: egress_proxy port must be non-nil", "egressProxy", "port")


class SidecarSpec(Model):
    """Specification of a Sidecar."""

    workload_selector: NetworkingSelector | None = None
    """Workloads it is for; all of the namespace (of the mesh in istio-system) if left out."""
    ingress: tuple[IstioIngressListener, ...] = ()
    """Ports that the sidecar accepts calls on."""
    egress: tuple[IstioEgressListener, ...] = ()
    """What the workload may reach; everything if left out."""
    inbound_connection_pool: ConnectionPoolSettings | None = None
    """Limits of connections to the app."""
    outbound_traffic_policy: OutboundTrafficPolicy | None = None
    """What happens with calls to unknown hosts; they pass if left out."""

    def broken(self) -> Iterator[Finding]:
        """It says something; listeners have different ports, and only the last may have none."""
        nothing = not (self.egress or self.ingress or self.outbound_traffic_policy or self.inbound_connection_pool)
        yield from when(nothing, "sidecar: empty configuration provided")
        unique = "sidecar: ports on IP bound listeners must be unique"
        ports: set[int] = set()
        for index, ingress in enumerate(self.ingress):
            number = ingress.port.number or 0
            yield from when(number in ports, unique, "ingress", index, "port", "number")
            ports.add(number)
        taken: set[int | str] = set()
        for index, egress in enumerate(self.egress):
            if egress.port is None:
                yield from when(index < len(self.egress) - 1, _NO_PORT, "egress", index)
                continue
            place = egress.port.number or egress.bind
            socket = "sidecar: unix domain socket values for listeners must be unique"
            yield from when(place in taken, unique if egress.port.number else socket, "egress", index, "port")
            taken.add(place)


class Sidecar(KubernetesObject):
    """What workloads may reach, and how they are reached."""

    spec: SidecarSpec = SidecarSpec()
    """Specification."""
