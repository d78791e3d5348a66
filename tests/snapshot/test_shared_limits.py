"""Limits that instances share: which ports they make HTTP, what their proxies are told, and who may ask."""

from plait.model.protection import SHARED_TIMEOUT, CountedBy, Quota, SharedLimit
from plait.model.view import InboundMode, InboundPort
from plait.resources.parse import Resource
from plait.snapshot.inbound import inbound_ports
from plait.snapshot.shared_limits import served_limits
from tests.snapshot.resources_builders import name_of, service, snapshot_of, workload

ANNOTATION = "traffic.plait.dev/global-rate-limit"
ON_ONE = workload("web-1", "10.0.0.1", app="web", node="one", ports={"http": 8080})
ON_TWO = workload("api-1", "10.0.0.2", app="api", node="two", ports={"http": 8080})


def limited(name: str, **rates: str) -> Resource:
    """A Service with limits: `limited("web", all="5/s", caller="1/s")`."""
    names = {f"-{key.replace('_', '-')}".replace("-all", ""): value for key, value in rates.items()}
    annotations = {f"{ANNOTATION}{name}": value for name, value in names.items()}
    port = {"name": "http", "port": 80, "targetPort": 8080}
    address = "240.240.0.1" if name == "web" else "240.240.0.2"
    return service(name, port, address=address, selector={"app": "web"}, annotations=annotations)


def port_of(*resources: Resource) -> InboundPort:
    """The app's port of the first workload."""
    snapshot = snapshot_of(ON_ONE, ON_TWO, *resources)
    (port,) = inbound_ports(snapshot, snapshot.workloads[name_of("web-1")])
    return port


def limit(service_name: str, by: CountedBy, count: int) -> SharedLimit:
    """So many a second."""
    return SharedLimit(service=name_of(service_name), counted_by=by, quotas=(Quota(count=count, per=1),))


def test_a_shared_limit_is_a_reason_to_look_at_requests() -> None:
    """And `plait why` names the annotation; what is only about limits is none."""
    port = port_of(limited("web", all="5/s", timeout="1s"))
    assert port.mode is InboundMode.HTTP
    assert [reason.because for reason in port.reasons] == [f"{ANNOTATION} asks for a limit that all instances share"]
    assert port_of(limited("web")).mode is InboundMode.BYTES


def test_limits_of_all_services_that_lead_to_a_port_hold_there() -> None:
    """With the longest patience of any, and refusing if any refuses."""
    port = port_of(
        limited("web", all="5/s", per_caller="1/s", timeout="1s"), limited("web2", all="7/s", failure="deny")
    )
    assert port.protection.shared == (
        limit("web", CountedBy.CALLER, 1),
        limit("web", CountedBy.ALL, 5),
        limit("web2", CountedBy.ALL, 7),
    )
    assert (port.protection.shared_timeout, port.protection.shared_denies) == (1.0, True)
    plain = port_of(limited("web", all="5/s")).protection
    assert (plain.shared_timeout, plain.shared_denies) == (SHARED_TIMEOUT, False)


def test_a_machine_may_ask_for_services_only_that_its_workloads_serve() -> None:
    """Others' counters are not its business."""
    snapshot = snapshot_of(ON_ONE, ON_TWO, limited("web", all="5/s", per_caller="1/s"))
    both = {"all": limit("web", CountedBy.ALL, 5), "caller": limit("web", CountedBy.CALLER, 1)}
    assert served_limits(snapshot, "one") == {"default/web": both}
    assert served_limits(snapshot, "two") == {}
    assert served_limits(snapshot, "") == {}
