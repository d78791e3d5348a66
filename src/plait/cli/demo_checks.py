"""What `plait demo --check` observes, one function an observation, each measured on the running shop."""

import json
import os
import re
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from plait.api.shapes import map_at
from plait.cli import context, demo_shop
from plait.cli.demo_shop import NAMESPACE, Probe, lost, plait_command, probe
from plait.errors import PlaitError

REVIEWS = {"url": "http://reviews/reviews/1"}
BETA = {"url": "http://reviews/reviews/1", "headers": {"x-beta": "yes"}}
CHARGE = {"method": "POST", "url": "http://payments/charges", "body": '{"cents": 1}'}


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One line of the check. `holds` is None where this capture mode cannot guarantee it, and says so in `measured`."""

    name: str
    expected: str
    measured: str
    holds: bool | None

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def identities(mesh: context.Mesh, *, transparent: bool) -> Observation:
    """The server saw who called, proven by its certificate."""
    del transparent
    wanted = {
        "frontend": "spiffe://cluster.local/ns/shop/sa/frontend",
        "orders": "spiffe://cluster.local/ns/shop/sa/orders",
    }
    seen = {
        "frontend": _caller_seen(probe(mesh, "frontend", [BETA], count=1)),
        "orders": _caller_seen(probe(mesh, "orders", [CHARGE], count=1)),
    }
    return Observation(
        name="identities",
        expected=f"reviews sees {wanted['frontend']}, payments sees {wanted['orders']}",
        measured=f"reviews saw {seen['frontend']}, payments saw {seen['orders']}",
        holds=seen == wanted,
    )


def _caller_seen(result: Mapping[str, Any]) -> str:
    for status in ("200", "201"):
        if status in result["last"]:
            header = str(json.loads(result["last"][status]["body"]).get("caller", ""))
            found = re.findall(r"URI=(spiffe://[^;,]+)", header)
            return found[-1] if found else "nobody"
    return f"no answer ({_counts(result)})"


def plaintext_refused(mesh: context.Mesh, *, transparent: bool) -> Observation:
    """A caller without a certificate gets nothing."""
    rows = json.loads(plait_command(mesh, "get", "workloads", "-n", NAMESPACE, "-o", "json"))
    row = next((row for row in rows if row["name"] == "catalogue"), None)
    expected = "a plaintext connection from outside the mesh is closed without an answer"
    if row is None:
        return Observation(name="plaintext refused", expected=expected, measured="catalogue does not run", holds=False)
    port = int(row["ports"][0]["number"])
    address = row["address"] if transparent else "127.0.0.1"
    answer = _plaintext(address, port)
    if not transparent:
        measured = f"not guaranteed in explicit capture: {address}:{port} answered {answer or 'nothing'}"
        return Observation(name="plaintext refused", expected=expected, measured=measured, holds=None)
    measured = f"{address}:{port} answered {answer!r}" if answer else f"{address}:{port} closed the connection"
    return Observation(name="plaintext refused", expected=expected, measured=measured, holds=answer == "")


def _plaintext(address: str, port: int) -> str:
    try:
        with socket.create_connection((address, port), timeout=3) as connection:
            connection.settimeout(3)
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: catalogue\r\nConnection: close\r\n\r\n")
            return connection.recv(200).decode(errors="replace").partition("\r\n")[0]
    except TimeoutError:
        return "nothing within 3 s, connection still open"
    except ConnectionError:
        return ""
    except OSError as error:
        return f"{error.strerror}"


def split(mesh: context.Mesh, *, transparent: bool) -> Observation:
    """Of 400 calls, about 40 reach version 2."""
    del transparent
    result = probe(mesh, "frontend", [REVIEWS], count=400, workers=4)
    versions = result["versions"]
    total = versions.get("v1", 0) + versions.get("v2", 0)
    share = 100 * versions.get("v2", 0) / total if total else 0.0
    return Observation(
        name="split 90/10",
        expected="10 % of 400 calls reach reviews v2 (5 to 15 %), none lost",
        measured=f"{share:.1f} % of {total}; {_counts(result)}",
        holds=total == 400 and 5 <= share <= 15,
    )


def canary(mesh: context.Mesh, *, transparent: bool) -> Observation:
    """Who sends the header sees version 2."""
    del transparent
    result = probe(mesh, "frontend", [BETA], count=20)
    reached = result["versions"].get("v2", 0)
    return Observation(
        name="canary by header",
        expected="all 20 calls with x-beta: yes reach reviews v2",
        measured=f"{reached} of 20; {_counts(result)}",
        holds=reached == 20,
    )


def shift(mesh: context.Mesh, *, transparent: bool) -> Observation:
    """All traffic moves to version 2 under load, and back, without a lost call."""
    del transparent
    expected = "under load all traffic moves to reviews v2 and back, 0 lost"
    name = "shift to 100 %"
    before = _route(mesh)
    if before is None:
        return Observation(name=name, expected=expected, measured="the HTTPRoute shop/reviews is gone", holds=False)
    load = Probe(mesh, "frontend", {"calls": [REVIEWS], "seconds": 7, "rate": 150, "workers": 6})
    time.sleep(2)
    try:
        _apply(mesh, _all_to_v2(before))
        after = probe(mesh, "frontend", [REVIEWS], count=50)
    finally:
        _apply(mesh, before)
    result = load.result()
    total = sum(result["statuses"].values())
    reached = after["versions"].get("v2", 0)
    return Observation(
        name=name,
        expected=expected,
        measured=f"{lost(result)} lost of {total}; after the change {reached} of 50 reached v2",
        holds=lost(result) == 0 and reached == 50 and total > 300,
    )


def _route(mesh: context.Mesh) -> dict[str, Any] | None:
    try:
        route = json.loads(plait_command(mesh, "get", "httproutes", "reviews", "-n", NAMESPACE, "-o", "json"))
    except PlaitError:
        return None
    kept = {
        key: route["metadata"][key]
        for key in ("name", "namespace", "labels", "annotations")
        if key in route["metadata"]
    }
    return {"apiVersion": route["apiVersion"], "kind": route["kind"], "metadata": kept, "spec": route["spec"]}


def _all_to_v2(route: Mapping[str, Any]) -> dict[str, Any]:
    rules = [dict(rule) for rule in route["spec"]["rules"]]
    rules[-1]["backendRefs"] = [{"name": "reviews-v2", "port": 80}]
    return {**route, "spec": {**route["spec"], "rules": rules}}


def _apply(mesh: context.Mesh, document: Mapping[str, Any]) -> None:
    """Apply an object as it is, with the place in the user's file that it came from."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "route.yaml"
        file.write_text(json.dumps(document))
        plait_command(mesh, "apply", "-f", str(file), "--wait", "10s")


def denied(mesh: context.Mesh, *, transparent: bool) -> Observation:
    """A caller that no policy allows is told so, and the owner which policy and line it was."""
    del transparent
    result = probe(mesh, "frontend", [CHARGE], count=1)
    status = next(iter(result["statuses"]), "0")
    answer = json.loads(
        plait_command(mesh, "why", "--from", f"{NAMESPACE}/frontend", "POST", "http://payments/charges", "-o", "json")
    )
    policy = map_at(answer, "policy")
    place = f"{policy.get('namespace')}/{policy.get('name')} at {policy.get('file')}:{policy.get('line')}"
    told = f"denied by {place}" if answer["verdict"] == "denied" and policy else f"why says {answer['verdict']}"
    return Observation(
        name="denied call",
        expected="frontend may not charge: 403, by AuthorizationPolicy shop/payments-from-orders and its line",
        measured=f"{status}; {told}",
        holds=status == "403" and policy.get("name") == "payments-from-orders" and bool(policy.get("line")),
    )


def control_killed(mesh: context.Mesh, *, transparent: bool) -> Observation:
    """Control is killed under load; it comes back by itself and no call is lost."""
    del transparent
    name, expected = "control killed", "kill -9 of control under load: back by itself, 0 lost"
    pid = demo_shop.control_pid(mesh)
    if pid is None:
        return Observation(name=name, expected=expected, measured="control does not run under `plait up`", holds=False)
    load = Probe(mesh, "frontend", {"calls": [REVIEWS], "seconds": 8, "rate": 150, "workers": 6})
    time.sleep(1.5)
    os.kill(pid, signal.SIGKILL)
    time.sleep(0.3)
    back = demo_shop.wait_ready(mesh, 20)
    result = load.result()
    total = sum(result["statuses"].values())
    return Observation(
        name=name,
        expected=expected,
        measured=f"back after {back + 0.3:.1f} s, {lost(result)} lost of {total}",
        holds=lost(result) == 0 and total > 300,
    )


def _counts(result: Mapping[str, Any]) -> str:
    parts = [
        f"{count} x {status if status != '0' else 'no answer'}" for status, count in sorted(result["statuses"].items())
    ]
    parts += [f"{count} x {error}" for error, count in sorted(result["errors"].items())]
    return ", ".join(parts) + (", gave up" if result["gaveUp"] else "")


Check = Callable[..., Observation]
CHECKS: tuple[tuple[str, Check], ...] = (
    ("identities", identities),
    ("plaintext refused", plaintext_refused),
    ("split 90/10", split),
    ("canary by header", canary),
    ("shift to 100 %", shift),
    ("denied call", denied),
    ("control killed", control_killed),
)


def observe(mesh: context.Mesh, *, transparent: bool) -> Iterator[Observation]:
    """All observations, in order; one that cannot be made does not hold, and says why."""
    for name, check in CHECKS:
        try:
            yield check(mesh, transparent=transparent)
        except PlaitError as error:
            yield Observation(name=name, expected="an observation", measured=error.problem, holds=False)
