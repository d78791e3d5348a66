"""kubectl, unchanged, against a real server with TLS and a token."""

import json
import os
import subprocess
import threading
from pathlib import Path

import pytest

from tests.api.kubectls import WANTED, kubectls
from tests.api.objects import config_map, deployment, gateway, http_route, service
from tests.api.serving import Serving

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


class Kubectl:
    """Runs kubectl for the tester."""

    def __init__(self, program: Path, server: Serving, home: Path) -> None:
        self.home = home
        self.command = [str(program), f"--kubeconfig={server.kubeconfig}"]
        self.environment = {**os.environ, "HOME": str(home), "KUBE_EDITOR": "true"}

    def __call__(self, *arguments: str, given: object = None, code: int = 0) -> str:
        """The output (and errors) of one run, which must end with that code."""
        ran = subprocess.run(
            [*self.command, *arguments],
            input=json.dumps(given) if given is not None else None,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        output = ran.stdout + ran.stderr
        assert ran.returncode == code, output
        return output

    def field(self, what: str, path: str) -> str:
        """One field of an object."""
        return self("get", *what.split(), "-o", f"jsonpath={{{path}}}")


@pytest.fixture(params=WANTED)
def kubectl(request: pytest.FixtureRequest, server: Serving, tmp_path: Path) -> Kubectl:
    """Each kubectl that there is."""
    program = kubectls().get(request.param)
    if program is None:
        pytest.skip(f"no such kubectl here ({request.param})")
    return Kubectl(program, server, tmp_path)


def test_get_and_apply(kubectl: Kubectl) -> None:
    """Apply creates, changes and leaves alone; get prints the columns of the kind."""
    assert "service/reviews created" in kubectl("apply", "-f", "-", given=service())
    assert "service/reviews unchanged" in kubectl("apply", "-f", "-", given=service())
    assert "service/reviews configured" in kubectl("apply", "-f", "-", given=service(ports=(81, 82)))
    assert kubectl.field("service reviews", ".spec.ports[*].port") == "81 82"
    assert "service/reviews configured" in kubectl("apply", "-f", "-", given=service(ports=(82,)))
    assert kubectl.field("service reviews", ".spec.ports[*].port") == "82"

    table = kubectl("get", "svc", "-o", "wide")
    assert "CLUSTER-IP" in table
    assert "240.240.0.7" in table
    assert "reviews" in kubectl("get", "all")
    assert "reviews" in kubectl(
        "get", "svc", "--all-namespaces", "-l", "!none", "--field-selector", "metadata.name=reviews"
    )


def test_kinds_with_and_without_model(kubectl: Kubectl) -> None:
    """Gateway API kinds and kinds that are only stored are applied in the same way."""
    for document in (http_route(), gateway("a", "b"), deployment(A="1")):
        assert "created" in kubectl("apply", "-f", "-", given=document)
    assert "configured" in kubectl("apply", "-f", "-", given=gateway("b"))
    assert kubectl.field("gateway edge", ".spec.listeners[*].name") == "b"
    assert "configured" in kubectl("apply", "-f", "-", given=deployment(B="2"))
    assert kubectl.field("deploy web", ".spec.template.spec.containers[0].env[*].name") == "B"


def test_mistakes_are_told(kubectl: Kubectl) -> None:
    """A wrong object is refused with the field's name, nothing is stored."""
    wrong = http_route(rulez=[])
    assert "rulez" in kubectl("apply", "-f", "-", given=wrong, code=1)
    assert "rulez" in kubectl("apply", "--validate=false", "-f", "-", given=wrong, code=1)
    assert "NotFound" in kubectl("get", "httproute", "reviews", code=1)
    missing = service(namespace="shop")
    assert 'namespaces "shop" not found' in kubectl("apply", "-f", "-", given=missing, code=1)


def test_server_side_apply(kubectl: Kubectl) -> None:
    """Fields have owners; a conflict names them, and can be forced; a dry run changes nothing."""
    assert "serverside-applied" in kubectl("apply", "--server-side", "-f", "-", given=service(tier="front"))
    other = ("apply", "--server-side", "--field-manager=other", "-f", "-")

    refused = kubectl(*other, given=service(tier="back"), code=1)
    assert 'conflict with "kubectl"' in refused
    assert ".metadata.labels.tier" in refused
    kubectl(*other, "--dry-run=server", "--force-conflicts", given=service(tier="back"))
    assert kubectl.field("svc reviews", ".metadata.labels.tier") == "front"
    kubectl(*other, "--force-conflicts", given=service(tier="back"))
    assert kubectl.field("svc reviews", ".metadata.labels.tier") == "back"


def test_dry_runs(kubectl: Kubectl) -> None:
    """kubectl finds in the OpenAPI document that the server knows dry runs."""
    for document in (service(), http_route(), deployment()):
        assert "created (server dry run)" in kubectl("apply", "--dry-run=server", "-f", "-", given=document)
    assert "No resources found" in kubectl("get", "svc,httproute,deploy")
    assert "(dry run)" in kubectl("create", "configmap", "x", "--from-literal=a=b", "--dry-run=client")


def test_edit(kubectl: Kubectl) -> None:
    """An editor changes the object; an editor that makes it wrong is told so."""
    kubectl("create", "-f", "-", given=service())
    editor = kubectl.home / "editor.sh"
    editor.write_text('#!/bin/sh\nsed -i "s/port: 80$/port: 8088/" "$1"\n')
    editor.chmod(0o755)
    kubectl.environment["KUBE_EDITOR"] = str(editor)

    assert "edited" in kubectl("edit", "service", "reviews")
    assert kubectl.field("service reviews", ".spec.ports[0].port") == "8088"
    kubectl("create", "-f", "-", given=http_route())
    editor.write_text('#!/bin/sh\nsed -i "s/port: 80$/port: 99/" "$1"\n')
    assert "edited" in kubectl("edit", "httproute", "reviews")
    assert kubectl.field("httproute reviews", ".spec.rules[0].backendRefs[0].port") == "99"


def test_patches(kubectl: Kubectl) -> None:
    """All three types of patch, and the commands that are made of them."""
    kubectl("create", "-f", "-", given=service(ports=(80, 81)))

    kubectl("patch", "svc", "reviews", "-p", '{"spec":{"ports":[{"port":81,"name":"admin"}]}}')
    assert kubectl.field("svc reviews", ".spec.ports[*].name") == "http-80 admin"
    kubectl("patch", "svc", "reviews", "--type=merge", "-p", '{"spec":{"ports":[{"port":81,"name":"only"}]}}')
    assert kubectl.field("svc reviews", ".spec.ports[*].name") == "only"
    kubectl("patch", "svc", "reviews", "--type=json", "-p", '[{"op":"replace","path":"/spec/ports/0/port","value":7}]')
    assert kubectl.field("svc reviews", ".spec.ports[*].port") == "7"
    kubectl("label", "svc", "reviews", "tier=front")
    kubectl("annotate", "svc", "reviews", "note=hello")
    assert kubectl("get", "svc", "-l", "tier=front", "-o", "name").strip() == "service/reviews"
    kubectl("apply", "-f", "-", given=deployment(A="1"))
    kubectl("set", "env", "deployment/web", "B=2")
    assert kubectl.field("deploy web", ".spec.template.spec.containers[0].env[*].name") == "A B"


def test_replace_and_delete(kubectl: Kubectl) -> None:
    """Replacing, deleting one, by label, by file, and a namespace with what is in it."""
    kubectl("create", "-f", "-", given=service())
    assert "replaced" in kubectl("replace", "-f", "-", given=service(ports=(9,), tier="front"))
    assert "deleted" in kubectl("delete", "svc", "reviews")
    assert "NotFound" in kubectl("get", "svc", "reviews", code=1)
    for name in ("a", "b"):
        kubectl("create", "-f", "-", given=service(name, tier="front"))
    assert kubectl("delete", "svc", "-l", "tier=front").count("deleted") == 2
    kubectl("create", "-f", "-", given=config_map("settings", key="value"))
    assert "deleted" in kubectl("delete", "-f", "-", given=config_map("settings"))
    kubectl("create", "namespace", "shop")
    kubectl("create", "-f", "-", given=service(namespace="shop"))
    assert "deleted" in kubectl("delete", "namespace", "shop")
    assert "No resources found" in kubectl("get", "svc", "-A")


def test_watch(kubectl: Kubectl) -> None:
    """A watch prints each change as it happens."""
    kubectl("create", "-f", "-", given=service())
    command = [*kubectl.command, "get", "svc", "--watch", "--no-headers", "--output-watch-events"]
    with subprocess.Popen(command, env=kubectl.environment, stdout=subprocess.PIPE, text=True) as watch:
        assert watch.stdout is not None
        limit = threading.Timer(60, watch.kill)
        limit.start()
        seen = [watch.stdout.readline().split()[:2]]
        kubectl("label", "svc", "reviews", "a=b")
        kubectl("create", "-f", "-", given=service("ratings"))
        kubectl("delete", "svc", "reviews")
        seen += [watch.stdout.readline().split()[:2] for _ in range(3)]
        limit.cancel()
        watch.terminate()

    assert seen == [["ADDED", "reviews"], ["MODIFIED", "reviews"], ["ADDED", "ratings"], ["DELETED", "reviews"]]


def test_wait(kubectl: Kubectl) -> None:
    """`kubectl wait` sees a condition that a controller wrote into the status."""
    kubectl("create", "-f", "-", given=gateway("a"))
    assert "timed out" in kubectl("wait", "--for=condition=Programmed", "gateway/edge", "--timeout=1s", code=1)
    status = {"conditions": [{"type": "Programmed", "status": "True", "reason": "Programmed"}]}
    path = "/apis/gateway.networking.k8s.io/v1/namespaces/default/gateways/edge/status"
    kubectl("replace", "--raw", path, "-f", "-", given={**gateway("a"), "status": status})
    assert "condition met" in kubectl("wait", "--for=condition=Programmed", "gateway/edge", "--timeout=20s")


def test_describe_and_explain(kubectl: Kubectl) -> None:
    """Describe knows our kinds, explain tells our docstrings."""
    kubectl("create", "-f", "-", given=service())
    kubectl("create", "-f", "-", given=http_route())

    assert "240.240.0.7" in kubectl("describe", "service", "reviews")
    assert "Backend Refs" in kubectl("describe", "httproute", "reviews")
    assert "appProtocol" in kubectl("explain", "service.spec.ports")
    explained = kubectl("explain", "httproute.spec.rules.backendRefs")
    assert "weight" in explained
    assert "gateway.networking.k8s.io" in explained


def test_discovery(kubectl: Kubectl) -> None:
    """Short names, groups and the version of the server are found."""
    assert "httproutes" in kubectl("api-resources", "--api-group=gateway.networking.k8s.io")
    assert "security.istio.io/v1" in kubectl("api-versions")
    assert "plait" in kubectl("version", "-o", "json")
    assert "default" in kubectl("get", "ns")


def test_a_wrong_token_is_refused(kubectl: Kubectl) -> None:
    """Without a token that the mesh knows nothing is told."""
    output = kubectl("--token=wrong", "get", "svc", code=1)
    assert "Unauthorized" in output or "logged in" in output
