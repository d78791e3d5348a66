"""Several ServiceEntries for one host in a real Envoy."""

from dataclasses import replace

import pytest

from plait.compiler.endpoints import cluster_endpoints
from plait.envoy import names, types
from plait.snapshot.project import project
from tests.compiler import loopback
from tests.envoy import live
from tests.snapshot.resources_builders import name_of, service_entry, snapshot_of, workload

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]

HOST = "api.corp"
ADDRESS = "127.240.0.1"


def test_calls_to_a_host_reach_the_endpoints_of_all_its_entries() -> None:
    """Two ServiceEntries of a namespace declare one port with an endpoint each; calls are shared by both."""
    port = live.free_port()
    with live.apps("one", "two") as apps:
        entries = [
            service_entry(
                name,
                HOST,
                ports=[{"number": port, "name": name, "protocol": "HTTP", "targetPort": app.port}],
                resolution="STATIC",
                endpoints=[{"address": "127.0.0.1"}],
                given={HOST: ADDRESS},
            )
            for name, app in apps.items()
        ]
        snapshot = snapshot_of(workload("client", app="client"), *entries)
        view = replace(project(snapshot, name_of("client"), frozenset({HOST})), outbound_port=port)
        assignments = {
            name: cluster_endpoints(name, snapshot.endpoints[item.key], node="")
            for item in view.clusters
            if (name := names.cluster(item.host, item.key.port))
        }
        resources = loopback.client(view, {}).replaced(types.ENDPOINT, assignments)
        with live.running(resources):
            answered = {live.request((ADDRESS, port), authority=HOST).app for _ in range(40)}
    assert answered == {"one", "two"}
