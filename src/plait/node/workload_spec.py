"""What a client asks the agent to run, checked and typed.

The form is an entry of a workloads file (run's flags in lowerCamelCase). `plait run` has checked it already and told
every mistake with its line; here it is checked again because anyone may write to the agent's socket.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

from plait.errors import RefusedError
from plait.model.ids import ObjectName
from plait.model.services import Protocol
from plait.node.nft import INBOUND_PORT, OUTBOUND_PORT

_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_PROTOCOLS: Final[Mapping[str, Protocol]] = {
    "http": Protocol.HTTP,
    "http2": Protocol.HTTP2,
    "h2c": Protocol.HTTP2,
    "grpc": Protocol.GRPC,
    "tcp": Protocol.TCP,
    "tls": Protocol.TLS,
    "https": Protocol.TLS,
}
SIDECAR_PORTS: Final = frozenset({OUTBOUND_PORT, INBOUND_PORT})
"""Where the sidecar listens beside the app: connections from and to the app are led there."""
CAPTURES: Final = ("auto", "transparent", "explicit")


@dataclass(frozen=True, slots=True, kw_only=True)
class AppPort:
    """A port the app listens on; `protocol` None is learnt when the port opens."""

    number: int
    name: str = ""
    protocol: Protocol | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """A port of the machine's loopback (or of `host`) that leads to an app port through the sidecar."""

    host: str
    port: int
    app_port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceOffer:
    """A Service that the workload serves: its name, the service's port, the app's port."""

    name: str
    port: int
    app_port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadSpec:
    """A workload to run. `gateway` names the Gateway it serves, which has no app."""

    name: ObjectName
    service_account: str = "default"
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    ports: tuple[AppPort, ...] = ()
    services: tuple[ServiceOffer, ...] = ()
    probe: str = ""
    publish: tuple[Publication, ...] = ()
    host_ports: tuple[int, ...] = ()
    locality: str = ""
    user: str = ""
    capture: str = "auto"
    command: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    working_directory: str = "/"
    gateway: str = ""

    def document(self) -> dict[str, Any]:
        """The spec as the agent writes it down; without the app's environment, which may hold secrets."""
        return {
            "name": self.name.name,
            "namespace": self.name.namespace,
            "serviceAccount": self.service_account,
            "labels": dict(self.labels),
            "ports": [_port_text(port) for port in self.ports],
            "services": [f"{offer.name}:{offer.port}={offer.app_port}" for offer in self.services],
            "probe": self.probe,
            "publish": [f"{item.host}:{item.port}:{item.app_port}" for item in self.publish],
            "hostPorts": list(self.host_ports),
            "locality": self.locality,
            "user": self.user,
            "capture": self.capture,
            "command": list(self.command),
            "workingDirectory": self.working_directory,
            "gateway": self.gateway,
        }


def parse(document: Mapping[str, Any]) -> WorkloadSpec:
    """The spec a document describes; raises RefusedError with what is wrong first."""
    gateway = _text(document, "gateway")
    command = tuple(_texts(document, "command"))
    if not command and not gateway:
        raise RefusedError("there is no command to run", "put it after `--`")
    ports = tuple(_port(text) for text in _texts(document, "ports"))
    offers = tuple(_service(text, ports) for text in _texts(document, "services"))
    ports = _with_offered(ports, offers)
    capture = _text(document, "capture") or "auto"
    if capture not in CAPTURES:
        raise RefusedError(f"capture: {capture!r} is not known", f"use one of {', '.join(CAPTURES)}")
    return WorkloadSpec(
        name=ObjectName(
            namespace=_name(_text(document, "namespace") or "default", "namespace"),
            name=_name(_text(document, "name"), "workload"),
        ),
        service_account=_name(_text(document, "serviceAccount") or "default", "service account"),
        labels=_mapping(document, "labels"),
        ports=ports,
        services=offers,
        probe=_text(document, "probe"),
        publish=tuple(_publication(text, ports) for text in _texts(document, "publish")),
        host_ports=tuple(_number(text, "hostPorts") for text in _texts(document, "hostPorts")),
        locality=_text(document, "locality"),
        user=_text(document, "user"),
        capture=capture,
        command=command,
        env=_mapping(document, "env"),
        working_directory=_text(document, "workingDirectory") or "/",
        gateway=gateway,
    )


def _name(text: str, what: str) -> str:
    if not _NAME.fullmatch(text):
        raise RefusedError(f"{text!r} is not a {what} name", "use small letters, digits and `-`, at most 63 characters")
    return text


def _text(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name) or ""
    if not isinstance(value, str):
        raise RefusedError(f"{name} must be text, not {value!r}", f"write {name}: TEXT")
    return value


def _texts(document: Mapping[str, Any], name: str) -> list[str]:
    value: object = document.get(name) or []
    if not isinstance(value, list):
        raise RefusedError(f"{name} must be a list, not {value!r}", f"write {name}: [...]")
    return [str(item) for item in cast("list[object]", value)]


def _mapping(document: Mapping[str, Any], name: str) -> dict[str, str]:
    value: object = document.get(name) or {}
    if not isinstance(value, dict):
        raise RefusedError(f"{name} must be a mapping, not {value!r}", f"write {name}: {{key: value}}")
    return {str(key): str(item) for key, item in cast("dict[object, object]", value).items()}


def _number(text: str, what: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise RefusedError(f"{what}: {text!r} is no port", "write a number from 1 to 65535")
    return int(text)


def _port(text: str) -> AppPort:
    body, _, protocol = text.partition("/")
    name, _, number = body.rpartition(":")
    if protocol and protocol not in _PROTOCOLS:
        raise RefusedError(f"ports: {protocol!r} is no protocol", f"use one of {', '.join(_PROTOCOLS)}")
    listens = _number(number, "ports")
    if listens in SIDECAR_PORTS:
        raise RefusedError(f"ports: {listens} belongs to the sidecar", "let the app listen on another port")
    return AppPort(number=listens, name=name, protocol=_PROTOCOLS.get(protocol))


def _port_text(port: AppPort) -> str:
    return f"{f'{port.name}:' if port.name else ''}{port.number}{f'/{port.protocol}' if port.protocol else ''}"


def _service(text: str, ports: Sequence[AppPort]) -> ServiceOffer:
    """S[:PORT] or, as written down, S:PORT=APP. The app's port is the one of that number, else the first."""
    outside, _, app = text.partition("=")
    name, _, port = outside.partition(":")
    numbers = [declared.number for declared in ports]
    wanted = _number(port, "services") if port else (numbers[0] if numbers else 0)
    if not wanted:
        raise RefusedError(f"services: {text!r} has no port", "write NAME:PORT, or declare the app's port")
    app_port = _number(app, "services") if app else (wanted if wanted in numbers or not numbers else numbers[0])
    return ServiceOffer(name=_name(name, "service"), port=wanted, app_port=app_port)


def _with_offered(ports: Sequence[AppPort], offers: Sequence[ServiceOffer]) -> tuple[AppPort, ...]:
    numbers = {port.number for port in ports}
    added = {offer.app_port for offer in offers} - numbers
    return (*ports, *(AppPort(number=number) for number in sorted(added)))


def _publication(text: str, ports: Sequence[AppPort]) -> Publication:
    parts = text.rsplit(":", 2)
    while len(parts) > 1 and not parts[0].isdecimal() and not all(part.isdecimal() for part in parts[1:]):
        parts = [f"{parts[0]}:{parts[1]}", *parts[2:]]
    host = "127.0.0.1" if parts[0].isdecimal() else parts.pop(0)
    if not parts or len(parts) > 2:
        raise RefusedError(f"publish: {text!r} is not understood", "write [HOST:]PORT[:APP]")
    port = _number(parts[0], "publish")
    numbers = [declared.number for declared in ports]
    app = _number(parts[1], "publish") if len(parts) == 2 else (port if port in numbers or not numbers else numbers[0])
    return Publication(host=host.strip("[]") or "127.0.0.1", port=port, app_port=app)
