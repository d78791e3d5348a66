"""Compiled views made to run on loopback: services at 127.240.x.y on the proxy's own port, apps behind their clusters.

The whole of 127/8 is local, so a listener on every address sees the dialled one without any redirection.
"""

from collections.abc import Mapping
from dataclasses import replace

from plait.compiler.compile import compile_view
from plait.compiler.endpoints import cluster_endpoints
from plait.envoy import names, types
from plait.envoy.resource_set import Entry, ResourceSet
from plait.envoy.simulate import Call, Outcome, simulate
from plait.model.services import Endpoint
from plait.model.view import View
from tests.envoy import live


def on_loopback(view: View) -> View:
    """A view whose service addresses are in 127.240.0.0/16."""
    return replace(view, mesh_addresses=("127.240.0.0/16",))


def client(view: View, endpoints: Mapping[str, Endpoint]) -> ResourceSet:
    """What a client's proxy holds: its outbound side, and an endpoint for each cluster (by service name)."""
    compiled = compile_view(on_loopback(view))
    outbound = {
        name: item
        for name, item in compiled.of(types.LISTENER).items()
        if name == names.OUTBOUND_LISTENER or name.startswith(names.SERVER_NAMES_PREFIX)
    }
    assignments: dict[str, Entry] = {}
    for cluster in view.clusters:
        name = names.cluster(cluster.host, cluster.key.port, cluster.key.subset)
        found = [endpoints[cluster.key.service.name]] if cluster.key.service.name in endpoints else []
        assignments[name] = cluster_endpoints(name, found, node="")
    return compiled.replaced(types.LISTENER, outbound).replaced(types.ENDPOINT, assignments)


def server(view: View) -> ResourceSet:
    """What a server's proxy holds: its inbound listeners (of explicit capture, which need no redirection)."""
    compiled = compile_view(view)
    inbound = {
        name: item for name, item in compiled.of(types.LISTENER).items() if name.startswith(("inbound/", "publish/"))
    }
    return compiled.replaced(types.LISTENER, inbound)


def ask(call: Call) -> live.Answer:
    """Makes a simulated call for real."""
    return live.request(
        (call.address, call.port), call.path, method=call.method, authority=call.authority, headers=call.headers
    )


def agrees(resources: ResourceSet, call: Call, cluster_apps: Mapping[str, str]) -> tuple[Outcome, live.Answer, str]:
    """What simulation says, what Envoy does, and how they differ (empty if they agree)."""
    outcome, answer = simulate(resources, call), ask(call)
    expected = {cluster_apps[name] for name in outcome.clusters if name in cluster_apps}
    if outcome.status is not None:
        same = answer.status == outcome.status and not answer.app
        problem = "" if same else f"answered {answer.status} {answer.app}, expected {outcome.status}"
        if outcome.action.location and answer.header("location") != outcome.action.location:
            problem = f"location is {answer.header('location')}, expected {outcome.action.location}"
        if outcome.action.body and answer.body.decode() != outcome.action.body:
            problem = f"body is {answer.body!r}, expected {outcome.action.body}"
    elif answer.app not in expected:
        problem = f"answered by {answer.app or answer.status}, expected {expected}"
    else:
        problem = _request_difference(outcome, answer)
    return outcome, answer, problem


def _request_difference(outcome: Outcome, answer: live.Answer) -> str:
    if answer.seen["path"] != outcome.action.path:
        return f"path is {answer.seen['path']}, expected {outcome.action.path}"
    if answer.seen_header("host") != [outcome.action.authority]:
        return f"host is {answer.seen_header('host')}, expected {outcome.action.authority}"
    for name, value in outcome.action.set_headers:
        if value not in answer.seen_header(name.lower()):
            return f"header {name} is {answer.seen_header(name.lower())}, expected {value}"
    return ""
