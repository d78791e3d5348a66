"""What a Service's status says: ports that contradict each other, and wishes that a port cannot fulfil."""

from collections.abc import Mapping

from plait.model.services import Protocol
from plait.model.view import InboundMode
from plait.resources.core import traffic_annotations as asked
from plait.resources.parse import Resource
from plait.snapshot.build import Builder
from plait.snapshot.inbound import inbound_ports
from tests.snapshot.resources_builders import built, conditions, key_of, name_of, resource, service, workload

HTTP = {"name": "http", "port": 80, "targetPort": 8080, "appProtocol": "http"}
TCP = {"name": "tcp", "port": 90, "targetPort": 8080, "appProtocol": "tcp"}
APP = workload("web-1", "10.0.0.1", app="web")


def web(*ports: Mapping[str, object], **annotations: str) -> Resource:
    """The Service `web` with these ports."""
    listed = {f"{asked.PREFIX}{name.replace('_', '-')}": value for name, value in annotations.items()}
    return service("web", *(dict(port) for port in ports), annotations=listed)


def other(*ports: Mapping[str, object]) -> Resource:
    """Another Service of the same workloads."""
    return service("other", *(dict(port) for port in ports), selector={"app": "web"}, address="240.240.0.2")


def message(builder: Builder, name: str) -> str:
    """What the status of a Service says, if anything."""
    status = builder.statuses.get(("Service", name_of(name)))
    return status.conditions[0].message if status and status.conditions else ""


def spoken(builder: Builder) -> tuple[Protocol, InboundMode]:
    """How the app's sidecar treats its port."""
    snapshot = builder.snapshot
    (port,) = inbound_ports(snapshot, snapshot.workloads[name_of("web-1")])
    return port.protocol, port.mode


def test_ports_that_agree_are_not_spoken_of():
    """A Service has a status only where something is to be said."""
    builder = built(web(HTTP), other({**HTTP, "port": 90}), APP)

    assert ("Service", name_of("web")) not in builder.statuses


def test_http_holds_against_tcp_and_both_services_are_told():
    """Else callers of the TCP port could write the header that names the caller, and nothing would be held back."""
    builder = built(web(HTTP, admission_control="on"), other(TCP), APP)

    assert spoken(builder) == (Protocol.HTTP, InboundMode.HTTP)
    status = builder.statuses["Service", name_of("web")]
    assert conditions(status.conditions) == {"PartiallyInvalid": ("True", "ProtocolConflict")}
    assert message(builder, "web") == (
        "port 80 is HTTP, but port 90 of Service default/other leads to the same port 8080 of default/web-1 and is"
        " TCP: the app's sidecar takes it for HTTP; give both the same appProtocol"
    )
    assert message(builder, "other").startswith("port 90 is TCP, but port 80 of Service default/web leads to the same")


def test_one_service_can_contradict_itself():
    """Two of its ports lead to one of the app's."""
    builder = built(web(HTTP, TCP), APP)

    assert spoken(builder)[0] is Protocol.HTTP
    assert "port 80 is HTTP, but port 90 leads to the same port 8080" in message(builder, "web")
    assert "port 90 is TCP, but port 80 leads to the same port 8080" in message(builder, "web")


def test_a_port_that_is_http_for_want_of_better_knowledge_yields():
    """The other Service knows that the app speaks something else; both are told all the same."""
    builder = built(web({"port": 80, "targetPort": 8080}), other(TCP), APP)

    assert spoken(builder)[0] is Protocol.TCP
    assert "the app's sidecar takes it for TCP" in message(builder, "web")


def test_who_wants_to_know_the_caller_has_asked_for_http():
    """An app that trusts the header must not get it from whoever finds another way in."""
    builder = built(web({"port": 80, "targetPort": 8080}, caller_identity="header"), other(TCP), APP)

    assert spoken(builder)[0] is Protocol.HTTP
    (port,) = inbound_ports(builder.snapshot, builder.snapshot.workloads[name_of("web-1")])
    assert port.tells_caller


def test_a_condition_goes_with_its_reason():
    """Whichever of the two is mended or deleted; the status is written once more, without it."""
    builder = built(web(HTTP), other(TCP), APP)

    update = builder.update([], [key_of(other(TCP))])

    found = {(status.kind, status.name): status for status in update.statuses}
    assert found["Service", name_of("web")].conditions == ()
    assert ("Service", name_of("other")) not in builder.statuses

    builder.update([other({**HTTP, "port": 90})])
    assert message(builder, "web") == ""


def test_a_condition_from_before_a_restart_goes_too():
    """Control knows it from the stored status only."""
    stored = dict(resource("v1", "Service", "web", spec={"ports": [HTTP]}).document)
    said = {"conditions": [{"type": "PartiallyInvalid", "status": "True"}]}
    builder = Builder()

    (status,) = builder.update([resource("v1", "Service", "web", spec=stored["spec"], status=said)]).statuses

    assert (status.name, status.conditions) == (name_of("web"), ())


def test_what_needs_requests_is_told_where_there_are_none():
    """The annotation is named, and the port."""
    builder = built(web({"port": 5432, "appProtocol": "tcp"}, admission_control="on", concurrency="adaptive"), APP)

    status = builder.statuses["Service", name_of("web")]
    assert conditions(status.conditions) == {"PartiallyInvalid": ("True", "UnsupportedValue")}
    assert message(builder, "web").startswith(
        "traffic.plait.dev/concurrency: adaptive and traffic.plait.dev/admission-control have no effect on port 5432, "
        "which is not HTTP"
    )


def test_limits_of_callers_are_not_expected_on_the_port_beside():
    """A number of requests means the ports that have requests; what protects the app is told all the same."""
    ports = ({"port": 80, "appProtocol": "http"}, {"port": 5432, "appProtocol": "tcp"})

    assert message(built(web(*ports, max_requests="5"), APP), "web") == ""
    assert "have no effect" not in message(built(web(*ports, admission_control="on"), APP), "web")
    assert "has no effect on port 5432" in message(built(web(*ports, admission_control="on"), APP), "web")


def test_what_works_on_connections_is_not_spoken_of():
    """A number of connections, and a rate of new ones, hold without HTTP too."""
    builder = built(web({"port": 5432, "appProtocol": "tcp"}, concurrency="8", rate_limit="5/s"), APP)

    assert message(builder, "web") == ""
