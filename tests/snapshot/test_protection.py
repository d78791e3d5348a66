"""From annotations to what callers and servers keep to."""

from dataclasses import replace

from plait.model.ids import Origin
from plait.model.protection import CallerProtection, Ejection, RateLimit, ServerProtection
from plait.model.services import Protocol
from plait.model.snapshot import Snapshot
from plait.model.view import InboundMode, InboundPort
from plait.resources.core import traffic_annotations as asked
from plait.snapshot.inbound import inbound_ports
from plait.snapshot.project import project
from plait.snapshot.protection import protection_of, tightest
from tests.snapshot.resources_builders import name_of, service, snapshot_of, workload

ORIGIN = Origin(kind="Service", namespace="default", name="web")
CALLER = workload("client", "10.0.0.9")
HTTP = {"port": 80, "targetPort": 8080}


def at(*names: str, of: str = "web") -> tuple[Origin, ...]:
    """The origins of annotations."""
    return tuple(replace(ORIGIN, name=of, path=f"metadata.annotations[{name}]") for name in names)


def mesh(*annotated: dict[str, str]) -> Snapshot:
    """Services `web-0`, `web-1`, ... that lead to the same port of one workload."""
    services = [service(f"web-{number}", HTTP, annotations=item) for number, item in enumerate(annotated)]
    claimed = ",".join(f"web-{number}:80=8080" for number in range(len(annotated)))
    return snapshot_of(*services, workload("w", "10.0.0.1", services=claimed, ports={"http": 8080}), CALLER)


def port(snapshot: Snapshot) -> InboundPort:
    """The workload's port."""
    (found,) = inbound_ports(snapshot, snapshot.workloads[name_of("w")])
    return found


def test_by_default_only_endpoints_that_cannot_be_connected_to_are_left_out() -> None:
    """No limit of any sort, and the server's port stays bytes."""
    snapshot = mesh({})
    view = project(snapshot, name_of("client"), frozenset({"web-0.default.svc.cluster.local"}))
    assert view.clusters[0].protection == CallerProtection()
    usual = Ejection(connection_failures=20, gateway_errors=0, server_errors=0, max_share=50)
    assert view.clusters[0].protection.ejection == usual
    assert port(snapshot).mode is InboundMode.BYTES
    assert not port(snapshot).protection.asks


def test_callers_keep_to_what_a_service_says() -> None:
    """Limits reach the caller's view and leave the server's port bytes."""
    snapshot = mesh({asked.MAX_REQUESTS: "50", asked.EJECT_FOR: "10s", asked.KEEP_ALIVE: "60s"})
    view = project(snapshot, name_of("client"), frozenset({"web-0.default.svc.cluster.local"}))
    (cluster,) = view.clusters
    assert cluster.protection.max_requests == 50
    assert cluster.protection.ejection == Ejection(duration=10.0, longest=120.0)
    assert cluster.idle_timeout == port(snapshot).idle_timeout == 45.0
    assert port(snapshot).mode is InboundMode.BYTES


def test_ejection_can_be_turned_off_or_be_for_errors_alone() -> None:
    """`off` is for failures to connect."""
    off = {asked.EJECT_AFTER_FAILURES: "off"}
    assert protection_of(off, ORIGIN).callers.ejection is None
    errors = protection_of({**off, asked.EJECT_AFTER_ERRORS: "7"}, ORIGIN).callers.ejection
    assert errors == Ejection(connection_failures=0, gateway_errors=7)


def test_a_limit_of_all_callers_makes_the_port_http_and_says_why() -> None:
    """The reason is the annotation, with its place."""
    found = port(mesh({asked.CONCURRENCY: "8", asked.QUEUE: "2", asked.KEEP_ALIVE: "8s"}))
    assert found.mode is InboundMode.HTTP
    (reason,) = found.reasons
    assert f"{reason.kind} {reason.name} {reason.because}" == (
        f"Service default/web-0 {asked.CONCURRENCY} asks for a limit of the requests in hand"
    )
    assert reason.origin == at(asked.CONCURRENCY, of="web-0")[0]


def test_a_port_without_http_stays_bytes() -> None:
    """Its limit is on connections."""
    declared = service("db", {"name": "tcp-db", "port": 5432}, annotations={asked.CONCURRENCY: "8"})
    served = workload("w", "10.0.0.1", services="db:5432=5432", ports={"tcp": 5432})
    found = port(snapshot_of(declared, served, CALLER))
    assert (found.protocol, found.mode, found.reasons) == (Protocol.TCP, InboundMode.BYTES, ())
    assert found.protection.concurrency == 8


def test_of_several_services_the_tightest_holds() -> None:
    """The fewest at a time with that one's queue, the lowest rate with its burst, and both ways of concurrency."""
    slow, fast = RateLimit(count=60, per=60.0, burst=9), RateLimit(count=2, per=1.0, burst=1)
    first = ServerProtection(concurrency=8, rate=fast, origins=at(asked.CONCURRENCY))
    second = ServerProtection(concurrency=4, queue=100, rate=slow, origins=at(asked.CONCURRENCY, of="other"))
    third = ServerProtection(adaptive=True, usual_latency=0.02, admission_control=True)
    for order in ((first, second, third), (third, second, first)):
        found = tightest(order)
        assert (found.concurrency, found.queue, found.rate) == (4, 100, slow)
        assert (found.adaptive, found.usual_latency, found.admission_control) == (True, 0.02, True)
        assert set(found.origins) == set(first.origins + second.origins)


def test_services_that_lead_to_one_port_share_its_limit() -> None:
    """Whatever name callers use."""
    found = port(mesh({asked.CONCURRENCY: "8"}, {asked.CONCURRENCY: "3"}, {}))
    assert found.protection.concurrency == 3
    assert {reason.name.name for reason in found.reasons} == {"web-0", "web-1"}
