"""Run specs: what is to run in the mesh, from the flags of `plait run` or an entry of a workloads file.

Both give the same JSON document, the file's form: {name, namespace, services, labels, serviceAccount, ports, probe,
publish, hostPorts, locality, user, capture, command, env, workingDirectory}. Everything is checked here, with all
mistakes at once, before the node agent is asked for anything.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from plait.cli.fields import as_list, as_mapping

CAPTURES = ("auto", "transparent", "explicit")
_SIDECAR_PORTS = ("15001", "15006")
PROTOCOLS = ("http", "http2", "h2c", "grpc", "tcp", "tls", "https")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_LABEL = re.compile(r"([-A-Za-z0-9.]{1,253}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_PUBLISH = re.compile(r"(?:(?:[-A-Za-z][-A-Za-z0-9.]*|\d+(?:\.\d+){3}|\[[0-9a-fA-F:.]+\]):)?(\d+)(?::(\d+))?")
_VARIABLE = re.compile(r"[^=\0]+")

Complaint = tuple[str, str]
"""What is wrong and how to write it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """One mistake in a run spec; `path` is the field."""

    path: str
    problem: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A field of a run spec: its JSON type and what checks one item of it."""

    type: type
    check: Callable[[Any], Complaint | None] = field(default=lambda _: None)


def port_number(text: object) -> bool:
    """Whether that is the number of a port."""
    return not isinstance(text, bool) and str(text).isdecimal() and 0 < int(str(text)) < 65536


def _name(value: object) -> Complaint | None:
    if _NAME.fullmatch(str(value)):
        return None
    return f"{value!r} is no name", "use small letters, digits and `-`, at most 63 characters"


def _service(value: object) -> Complaint | None:
    name, colon, port = str(value).partition(":")
    if _NAME.fullmatch(name) and (not colon or port_number(port)):
        return None
    return f"{value!r} is no service", "write NAME or NAME:PORT, such as reviews:80"


def _port(value: object) -> Complaint | None:
    text, slash, protocol = str(value).partition("/")
    name, colon, number = text.rpartition(":")
    if not port_number(number) or (colon and not _NAME.fullmatch(name)):
        return f"{value!r} is no port", "write [NAME:]NUMBER[/PROTOCOL], such as 8080 or web:8080/http"
    if number in _SIDECAR_PORTS:
        return f"{number} belongs to the sidecar", "let the app listen on another port"
    if slash and protocol not in PROTOCOLS:
        return f"{protocol!r} is no protocol", f"use one of {', '.join(PROTOCOLS)}"
    return None


def _probe(value: object) -> Complaint | None:
    kind, _, rest = str(value).partition(":")
    if (kind == "http" and rest.startswith("/")) or (kind == "exec" and rest) or str(value) in ("tcp", "grpc", "none"):
        return None
    return f"{value!r} is no probe", "use http:/PATH, tcp, grpc or exec:COMMAND"


def _publish(value: object) -> Complaint | None:
    if (found := _PUBLISH.fullmatch(str(value))) and all(port_number(part) for part in found.groups() if part):
        return None
    return f"{value!r} cannot be published", "write [HOST:]PORT[:APP], such as 8080 or 127.0.0.1:8080:80"


def _host_port(value: object) -> Complaint | None:
    return None if port_number(value) else (f"{value!r} is no port", "write a number from 1 to 65535")


def _locality(value: object) -> Complaint | None:
    parts = str(value).split("/")
    if len(parts) <= 3 and all(parts):
        return None
    return f"{value!r} is no locality", "write REGION/ZONE, such as eu/eu-1"


def _capture(value: object) -> Complaint | None:
    return None if value in CAPTURES else (f"{value!r} is no way to capture", f"use one of {', '.join(CAPTURES)}")


def _label(item: object) -> Complaint | None:
    key, value = cast("tuple[object, object]", item) if isinstance(item, tuple) else (item, "")
    if _LABEL.fullmatch(str(key)) and _LABEL_VALUE.fullmatch(str(value)):
        return None
    return f"{key}={value} is no label", "write KEY=VALUE with letters, digits, `-`, `_` and `.`"


def _variable(item: object) -> Complaint | None:
    key, _ = cast("tuple[object, object]", item) if isinstance(item, tuple) else (item, "")
    return None if _VARIABLE.fullmatch(str(key)) else (f"{key!r} is no variable", "write NAME: VALUE")


FIELDS: Mapping[str, Field] = {
    "name": Field(type=str, check=_name),
    "namespace": Field(type=str, check=_name),
    "services": Field(type=list, check=_service),
    "labels": Field(type=dict, check=_label),
    "serviceAccount": Field(type=str, check=_name),
    "ports": Field(type=list, check=_port),
    "probe": Field(type=str, check=_probe),
    "publish": Field(type=list, check=_publish),
    "hostPorts": Field(type=list, check=_host_port),
    "locality": Field(type=str, check=_locality),
    "user": Field(type=str),
    "capture": Field(type=str, check=_capture),
    "command": Field(type=list),
    "env": Field(type=dict, check=_variable),
    "workingDirectory": Field(type=str),
}

_TYPE_NAMES = {str: "text", list: "a list", dict: "a mapping"}


def mistakes(spec: Mapping[str, Any]) -> Iterator[Mistake]:
    """Every mistake in a run spec, in the order of its fields."""
    for name, value in spec.items():
        if known := FIELDS.get(name):
            yield from _field_mistakes(name, value, known)
        else:
            yield Mistake(path=name, problem="there is no such field", remedy=_nearest(name))
    if not spec.get("command"):
        yield Mistake(path="command", problem="no command to run", remedy="give it as a list: [python3, app.py]")


def _field_mistakes(name: str, value: object, known: Field) -> Iterator[Mistake]:
    if not isinstance(value, known.type):
        problem = f"must be {_TYPE_NAMES[known.type]}, not {value!r}"
        yield Mistake(path=name, problem=problem, remedy=f"write {name}: {_EXAMPLES.get(name, '...')}")
        return
    for path, item in _items(name, value):
        if complaint := known.check(item):
            yield Mistake(path=path, problem=complaint[0], remedy=complaint[1])


_EXAMPLES = {"command": "[python3, app.py]", "ports": "[8080]", "services": "[reviews:80]", "labels": "{version: v1}"}


def _items(name: str, value: object) -> Iterator[tuple[str, object]]:
    if (items := as_list(value)) is not None:
        yield from ((f"{name}[{at}]", item) for at, item in enumerate(items))
    elif (fields := as_mapping(value)) is not None:
        yield from ((f"{name}.{key}", (key, item)) for key, item in fields.items())
    else:
        yield name, value


def _nearest(name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, FIELDS, n=1)
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(FIELDS)}"


def normal(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A correct spec with the types the node agent expects: text in lists, numbers in hostPorts, no empty fields."""
    result = {name: value for name, value in spec.items() if value not in ("", [], {}, None)}
    for name in ("services", "ports", "publish", "command"):
        if name in result:
            result[name] = [str(item) for item in result[name]]
    for name in ("labels", "env"):
        if name in result:
            result[name] = {str(key): str(value) for key, value in result[name].items()}
    if "hostPorts" in result:
        result["hostPorts"] = [int(item) for item in result["hostPorts"]]
    return {"namespace": "default", "capture": "auto", **result}


def invented_name(services: Sequence[str], command: Sequence[str], unique: int) -> str:
    """A name for a workload that was given none: what it serves or runs, and a number nobody else has."""
    base = services[0].partition(":")[0] if services else command[0].rpartition("/")[2]
    clean = re.sub(r"[^a-z0-9]+", "-", base.lower()).strip("-")[:50].strip("-")
    return f"{clean or 'workload'}-{unique}"


_FLAGS = {"services": "--service", "ports": "--port", "hostPorts": "--host-port", "serviceAccount": "--service-account"}


def flag(path: str) -> str:
    """The flag of `plait run` that gives a field."""
    name = re.split(r"[.\[]", path)[0]
    return _FLAGS.get(name, f"--{name}")
