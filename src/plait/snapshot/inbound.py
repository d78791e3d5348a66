"""What a workload's sidecar does with calls to it: its ports, who may call them, and whether requests are looked at.

HTTP is processed once a hop, by the caller's sidecar: it routes, retries, balances and measures. The server's sidecar
proves and checks identities and passes bytes, unless something needs requests there; `http_reasons` is that decision.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from plait.model.ids import ObjectName
from plait.model.protection import IDLE_TOWARDS_AN_APP
from plait.model.security import AuthorizationPolicy, MutualTlsMode
from plait.model.services import Protocol, Service, Workload
from plait.model.snapshot import Snapshot
from plait.model.traffic import ClusterKey
from plait.model.traffic_policy import Pool
from plait.model.view import HttpReason, InboundMode, InboundPort, ServerPort
from plait.snapshot.destinations import destination_rule
from plait.snapshot.protection import reasons_for, tightest
from plait.snapshot.selection import candidates
from plait.snapshot.services import target_number
from plait.snapshot.workload_ports import app_ports, mutual_tls_of
from plait.snapshot.workloads import selects


def http_reasons(port: int, policies: Iterable[AuthorizationPolicy]) -> tuple[HttpReason, ...]:
    """The policies that can be decided only on requests to that port, each with what of it needs them."""
    return tuple(
        HttpReason(
            kind="AuthorizationPolicy",
            name=policy.name,
            because=f"rules[{index}] asks for {' and '.join(asked)}",
            origin=rule.origin or policy.origin,
        )
        for policy in policies
        for index, rule in enumerate(policy.rules)
        if (asked := dict.fromkeys(word for operation in rule.operations for word in operation.asks_of_requests(port)))
    )


def inbound_mode(protocol: Protocol, reasons: Sequence[HttpReason]) -> InboundMode:
    """How a port is processed at the server: as requests where the app speaks HTTP and something needs them."""
    return InboundMode.HTTP if protocol.is_http and reasons else InboundMode.BYTES


def inbound_ports(snapshot: Snapshot, workload: Workload) -> tuple[InboundPort, ...]:
    """The app's ports: those that it registered and those that services lead to."""
    mode, ports = mutual_tls_of(snapshot, workload)
    policies = policies_for(snapshot, workload)
    sidecars = {port.number: port.sidecar for port in workload.ports}
    reach = snapshot.reaches.get(workload.name)
    elsewhere = dict(reach.app_ports) if reach else {}
    services = _services_at(snapshot, workload)
    found: list[InboundPort] = []
    for number, protocol in app_ports(snapshot, workload).items():
        leading = services.get(number, ())
        own = reach.pool_at(number) if reach else None
        protection = tightest(service.protection.server for service in leading)
        reasons = (*http_reasons(number, policies), *reasons_for(protection)) if protocol.is_http else ()
        found.append(
            InboundPort(
                number=number,
                protocol=protocol,
                mutual_tls=ports.get(number, mode),
                mode=inbound_mode(protocol, reasons),
                reasons=reasons,
                sidecar_port=sidecars.get(number, 0),
                app_port=elsewhere.get(number, 0),
                policies=policies,
                idle_timeout=_idle_timeout(leading, own),
                protection=protection,
                tells_caller=any(service.tells_caller for service in leading),
                pool=own or _pool(snapshot, workload, leading, number),
            )
        )
    return tuple(found)


def _services_at(snapshot: Snapshot, workload: Workload) -> Mapping[int, Sequence[Service]]:
    """The services that lead to each port of a workload."""
    found: dict[int, list[Service]] = {}
    for host in snapshot.serving.get(workload.name, ()):
        service = snapshot.services[host]
        numbers = (target_number(service, port, workload) for port in service.ports)
        for number in dict.fromkeys(number for number in numbers if number is not None):
            found.setdefault(number, []).append(service)
    return found


def _pool(snapshot: Snapshot, workload: Workload, leading: Iterable[Service], number: int) -> Pool | None:
    """The limits of connections that hold at the server too: of the first service that leads there and has a rule."""
    for service in leading:
        rule = destination_rule(snapshot, workload, service)
        policy = rule.policy if rule and rule.selector is None else None
        for port in service.ports if policy else ():
            pool = policy.at(port.number).pool if policy else None
            if pool is not None and target_number(service, port, workload) == number:
                return pool
    return None


def _idle_timeout(leading: Iterable[Service], own: Pool | None) -> float:
    """Seconds that an idle connection to the app is kept: as its Sidecar or services say, else the usual."""
    if own is not None and own.idle_timeout:
        return own.idle_timeout
    said = [service.protection.callers.idle_timeout for service in leading]
    return min((seconds for seconds in said if seconds is not None), default=IDLE_TOWARDS_AN_APP)


def unlisted_port(snapshot: Snapshot, workload: Workload) -> InboundPort:
    """How ports are treated that neither the app nor a service names."""
    mode, _ = mutual_tls_of(snapshot, workload)
    return InboundPort(
        number=0,
        protocol=Protocol.TCP,
        mutual_tls=mode,
        mode=InboundMode.BYTES,
        policies=policies_for(snapshot, workload),
    )


def policies_for(snapshot: Snapshot, workload: Workload) -> tuple[AuthorizationPolicy, ...]:
    """The authorization policies that apply to a workload: its namespace's and the mesh's that choose it, by name."""
    namespaces = dict.fromkeys((snapshot.root_namespace, workload.name.namespace))
    return tuple(
        item.policy
        for namespace in namespaces
        for item in candidates(snapshot.authorization.get(namespace, ()), workload.labels)
        if _chooses(item.gateways, item.policy, workload) and (item.gateways or selects(item.selector, workload.labels))
    )


def _chooses(gateways: Sequence[str], policy: AuthorizationPolicy, workload: Workload) -> bool:
    if not gateways:
        return True
    gateway = workload.gateway
    return gateway is not None and gateway.namespace == policy.name.namespace and gateway.name in gateways


def server_ports(snapshot: Snapshot, workload: ObjectName) -> dict[int, ServerPort]:
    """How a workload's ports are treated, as its callers must know it; nothing for one that is gone."""
    found = snapshot.workloads.get(workload)
    if found is None:
        return {}
    ports = inbound_ports(snapshot, found)
    unlisted = (0, mutual_tls_of(snapshot, found)[0])
    modes = (unlisted, *((port.number, port.mutual_tls) for port in ports))
    listener = tuple(item for item in modes if item[1] is not MutualTlsMode.STRICT)
    return {port.number: _server_port(port, listener, found.proxy_generation) for port in ports}


def _server_port(port: InboundPort, listener: tuple[tuple[int, MutualTlsMode], ...], replaced: int) -> ServerPort:
    if port.mode is InboundMode.HTTP:
        return ServerPort(port=port.number, mode=port.mode)
    return ServerPort(
        port=port.number,
        mode=port.mode,
        mutual_tls=port.mutual_tls,
        policies=port.policies,
        listener=listener,
        replaced=replaced,
    )


def servers_behind(snapshot: Snapshot, key: ClusterKey) -> tuple[ServerPort, ...]:
    """The different ways in which the sidecars behind a cluster treat its port, ready or not."""
    found = (server_ports(snapshot, name).get(port) for name, port in snapshot.behind.get(key, ()))
    return distinct(item for item in found if item is not None)


def distinct(ports: Iterable[ServerPort]) -> tuple[ServerPort, ...]:
    """Each once, in an order that depends on nothing but them; those that differ in `replaced` only are added up."""
    found: list[ServerPort] = []
    replaced: list[int] = []
    for port in ports:
        plain = replace(port, replaced=0) if port.replaced else port
        if plain not in found:
            found.append(plain)
            replaced.append(0)
        replaced[found.index(plain)] += port.replaced
    told = (replace(port, replaced=count) if count else port for port, count in zip(found, replaced, strict=True))
    return tuple(sorted(told, key=_order))


def _order(port: ServerPort) -> tuple[int, InboundMode, str, int]:
    return port.port, port.mode, str([str(policy.name) for policy in port.policies]), port.replaced
