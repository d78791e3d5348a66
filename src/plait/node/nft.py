"""The nft rules that catch a workload's traffic and open the machine's ports, rendered as text.

Two tables of family `inet` (IPv4 and IPv6 by the same rules), each replaced as a whole in one transaction, so that no
packet ever sees half of one and applying twice is the same as once:

`plait` in every workload's namespace
    out     DNS to the machine's DNS (Envoy's too); every other TCP of the app to 15001; Envoy's own leaves as it is.
            On lo nothing is caught, except what Envoy sends to the workload's own address: a service of which this very
            workload is an endpoint. 127.0.0.6 is the source by which Envoy says "this is for the app": never caught.
    in      TCP from outside to 15006, except calls from ports published on the machine to their own listeners.
    guard   15001 and 15006 refuse connections that were not redirected there; service addresses never leave uncaught;
            loopback addresses never come in from outside (the namespace routes them for DNS and host ports).

`plait<mesh>` on the machine
    a port for every published app port (other machines call it), the machine's loopback ports that lead to a
    workload, the machine's loopback ports that a workload may call, and masquerading of what leaves the machine.

A verdict is `return` where a later rule of another table may still act; nothing here accepts for other tables.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from plait.node import commands
from plait.node.addresses import SERVICE_RANGE, MachineRange

OUTBOUND_PORT = 15001
INBOUND_PORT = 15006
DNS_PORT = 53
TO_THE_APP = "127.0.0.6"
"""The source address with which Envoy reaches the app under the workload's own address without being caught again."""

WORKLOAD_TABLE = "plait"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadRules:
    """What the table in one workload's namespace depends on."""

    address: str
    gateway: str
    publisher: str
    dns_port: int
    envoy_uid: int
    host_ports: tuple[int, ...] = ()
    published: tuple[int, ...] = ()
    capture: bool = True


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class MachinePort:
    """A port of the machine, on every address but loopback, that leads to a workload's app port."""

    port: int
    address: str
    app_port: int


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class LoopbackPort:
    """A port of the machine's loopback (or of `host`) that leads to a listener of a workload's sidecar."""

    host: str
    port: int
    address: str
    listener_port: int


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class HostPort:
    """A loopback port of the machine that one workload may call."""

    address: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRules:
    """What the table on the machine depends on."""

    table: str
    bridge: str
    machine: MachineRange
    machine_ports: tuple[MachinePort, ...] = field(default=())
    loopback_ports: tuple[LoopbackPort, ...] = field(default=())
    host_ports: tuple[HostPort, ...] = field(default=())


def render_workload(rules: WorkloadRules) -> str:
    """The table of one workload's namespace."""
    chains = [
        _set("published", "inet_service", (str(port) for port in sorted(set(rules.published)))),
        _chain("loopback_guard", "filter hook prerouting priority -300", ['iifname != "lo" ip daddr 127.0.0.0/8 drop']),
        _chain("out", "nat hook output priority -100", _outbound(rules)),
        _chain("leave", "nat hook postrouting priority 100", ['oifname != "lo" ip saddr 127.0.0.0/8 masquerade']),
        _chain("guard_out", "filter hook output priority 0", _guard_out()),
    ]
    if rules.capture:
        chains.append(_chain("in", "nat hook prerouting priority -100", _inbound(rules)))
        chains.append(_chain("guard_in", "filter hook input priority 0", _guard_in()))
    return _table(WORKLOAD_TABLE, chains)


def render_host(rules: HostRules) -> str:
    """The table of the machine."""
    published = sorted({f"{port.address} . {port.listener_port}" for port in rules.loopback_ports})
    chains = [
        _map("machine_ports", "inet_service", (f"{p.port} : {p.address} . {p.app_port}" for p in rules.machine_ports)),
        _map("addressed", "ipv4_addr . inet_service", _addressed(rules.loopback_ports)),
        _map("anywhere", "inet_service", _anywhere(rules.loopback_ports)),
        _set("published", "ipv4_addr . inet_service", published),
        _set(
            "host_ports",
            "ipv4_addr . inet_service",
            (f"{port.address} . {port.port}" for port in sorted(set(rules.host_ports))),
        ),
        _chain("loopback_guard", "filter hook prerouting priority -300", _host_guard(rules)),
        _chain("arrive", "nat hook prerouting priority -100", _host_arrive(rules)),
        _chain("out", "nat hook output priority -100", _host_out()),
        _chain("leave", "nat hook postrouting priority 100", _host_leave(rules)),
        _chain("forward", "filter hook forward priority 0", [f"ip daddr {SERVICE_RANGE} reject"]),
        _chain("patience", "filter hook output priority 0", _host_patience(rules)),
    ]
    return _table(rules.table, chains)


def apply(text: str) -> None:
    """Put a rendered table in force in this namespace, all of it or nothing."""
    commands.run(["nft", "-f", "-"], text)


def remove(table: str) -> None:
    """Delete a table of this namespace; none there is fine."""
    commands.run(["nft", "-f", "-"], f"table inet {table}\ndelete table inet {table}\n")


def tables() -> tuple[str, ...]:
    """The `inet` tables of this namespace."""
    words = (line.split() for line in commands.run(["nft", "list", "tables"]).splitlines())
    return tuple(line[2] for line in words if len(line) == 3 and line[:2] == ["table", "inet"])


def _outbound(rules: WorkloadRules) -> list[str]:
    envoy = f"meta skuid {rules.envoy_uid}"
    lines = [
        f"meta nfproto ipv4 meta l4proto {{ tcp, udp }} th dport {DNS_PORT} dnat ip to {rules.gateway}:{rules.dns_port}"
    ]
    if rules.capture:
        to_itself = f'{envoy} oifname "lo" ip daddr {rules.address} ip saddr != {TO_THE_APP} meta l4proto tcp'
        lines.append(f"{to_itself} redirect to :{INBOUND_PORT}")
    lines.append(f"{envoy} return")
    if rules.host_ports:
        ports = ", ".join(str(port) for port in sorted(set(rules.host_ports)))
        lines.append(f"ip daddr 127.0.0.1 tcp dport {{ {ports} }} dnat ip to {rules.gateway}")
    if rules.capture:
        lines += ['oifname "lo" return', f"meta nfproto ipv6 tcp dport {DNS_PORT} return  # guard_out refuses it"]
        lines += [f"meta l4proto tcp redirect to :{OUTBOUND_PORT}"]
    return lines


def _inbound(rules: WorkloadRules) -> list[str]:
    return [
        'iifname "lo" return',
        f"ip saddr {rules.publisher} tcp dport @published return",
        f"tcp dport {{ {OUTBOUND_PORT}, {INBOUND_PORT} }} return",
        f"meta l4proto tcp redirect to :{INBOUND_PORT}",
    ]


def _guard_in() -> list[str]:
    return [f"tcp dport {{ {OUTBOUND_PORT}, {INBOUND_PORT} }} ct status & dnat == 0 reject with tcp reset"]


def _guard_out() -> list[str]:
    return [
        f"meta nfproto ipv6 meta l4proto {{ tcp, udp }} th dport {DNS_PORT} reject",
        f'oifname != "lo" ip daddr {SERVICE_RANGE} meta l4proto tcp reject with tcp reset',
        f'oifname != "lo" ip daddr {SERVICE_RANGE} reject',
    ]


def _host_guard(rules: HostRules) -> list[str]:
    return [f'iifname "{rules.bridge}" ip daddr 127.0.0.0/8 drop']


def _host_arrive(rules: HostRules) -> list[str]:
    call = f'iifname "{rules.bridge}" ip daddr {rules.machine.gateway}'
    return [
        f"{call} ip saddr . tcp dport @host_ports dnat ip to 127.0.0.1",
        "fib daddr type local dnat ip to ip daddr . tcp dport map @addressed",
        "fib daddr type local dnat ip to tcp dport map @anywhere",
        "fib daddr type local dnat ip to tcp dport map @machine_ports",
    ]


def _host_out() -> list[str]:
    return [
        "dnat ip to ip daddr . tcp dport map @addressed",
        "fib daddr type local dnat ip to tcp dport map @anywhere",
        "ip daddr != 127.0.0.0/8 fib daddr type local dnat ip to tcp dport map @machine_ports",
    ]


def _host_leave(rules: HostRules) -> list[str]:
    network = rules.machine.network
    return [
        f"ct status dnat ip daddr . tcp dport @published snat ip to {rules.machine.publisher}",
        f'ip saddr {network} oifname != "{rules.bridge}" masquerade',
        f'ct status dnat ip saddr {network} oifname "{rules.bridge}" masquerade',
    ]


def _host_patience(rules: HostRules) -> list[str]:
    """While no agent runs, a question to its DNS must seem lost, not refused, so that resolvers ask again."""
    return [f'oifname "{rules.bridge}" icmp type destination-unreachable icmp code port-unreachable drop']


def _addressed(ports: Sequence[LoopbackPort]) -> list[str]:
    return [f"{p.host} . {p.port} : {p.address} . {p.listener_port}" for p in sorted(ports) if p.host != "0.0.0.0"]  # noqa: S104


def _anywhere(ports: Sequence[LoopbackPort]) -> list[str]:
    return [f"{p.port} : {p.address} . {p.listener_port}" for p in sorted(ports) if p.host == "0.0.0.0"]  # noqa: S104


def _table(name: str, parts: Sequence[str]) -> str:
    body = "".join(parts)
    return f"table inet {name}\ndelete table inet {name}\ntable inet {name} {{\n{body}}}\n"


def _chain(name: str, hook: str, rules: Sequence[str]) -> str:
    lines = "".join(f"\t\t{rule}\n" for rule in rules)
    return f"\tchain {name} {{\n\t\ttype {hook}; policy accept;\n{lines}\t}}\n"


def _set(name: str, kind: str, elements: Iterable[str]) -> str:
    return f"\tset {name} {{\n\t\ttype {kind}\n{_elements(elements)}\t}}\n"


def _map(name: str, key: str, elements: Iterable[str]) -> str:
    return f"\tmap {name} {{\n\t\ttype {key} : ipv4_addr . inet_service\n{_elements(elements)}\t}}\n"


def _elements(elements: Iterable[str]) -> str:
    listed = ", ".join(elements)
    return f"\t\telements = {{ {listed} }}\n" if listed else ""
