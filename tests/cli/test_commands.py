"""Commands against a mesh that answers: what they print, what they change, and their exit codes."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from plait.api import schemas
from plait.cli.fields import as_list
from tests.cli.conftest import Plait
from tests.cli.fake_mesh import FakeMesh

ROUTE = """\
apiVersion: v1
kind: Service
metadata:
  name: web
spec:
  selector: {app: web}
  ports:
  - {name: http, port: 80, targetPort: 8080}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: web
spec:
  parentRefs:
  - {group: "", kind: Service, name: web, port: 80}
  rules:
  - backendRefs:
    - {name: web, port: 80}
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A file with a service and a route, in the folder where commands run."""
    file = tmp_path / "shop.yaml"
    file.write_text(ROUTE)
    return file


def test_status(plait: Plait, mesh: FakeMesh):
    """`plait status` says in lines how the mesh is, what is wrong, and what the capture mode cannot do."""
    outcome = plait("status")

    assert outcome.code == 0
    assert outcome.out.replace(str(mesh.socket), "SOCKET").splitlines() == [
        "mesh       ready, trust domain cluster.local",
        "api        SOCKET, https://127.0.0.1:15010",
        "kubectl    KUBECONFIG=/s/run/kubeconfig kubectl get services",
        "ads        127.0.0.1:15011",
        "metrics    http://127.0.0.1:15014/metrics",
        "telemetry  not in this release",
        "node       here (this machine, 192.0.2.1, connected)",
        "node       there (192.0.2.2, disconnected)",
        "proxies    2 ready, 1 synced, 1 refused",
        "capture    explicit (you are not root)",
        "           limit: plaintext is not refused",
        "problem    data/db holds an old configuration",
    ]


@pytest.mark.parametrize(
    ("words", "schema"),
    [
        (["status"], schemas.Status),
        (["get", "workloads"], schemas.Workload),
        (["get", "workloads", "web"], schemas.Workload),
        (["proxy", "list"], schemas.Proxy),
        (["top"], schemas.Edge),
        (["why", "--from", "web", "http://web/"], schemas.WhyAnswer),
        (["apply", "-f", "shop.yaml", "--wait", "1s"], schemas.ApplyAnswer),
    ],
)
def test_json_keeps_its_schema(plait: Plait, mesh: FakeMesh, shop: Path, *, words: list[str], schema: Any):
    """`-o json` prints what the documented schema describes, `-o yaml` the same."""
    outcome = plait(*words, "-o", "json")

    value = json.loads(outcome.out)
    for item in as_list(value) or [value]:
        schema.model_validate(item)
    if words[0] != "apply":
        assert yaml.safe_load(plait(*words, "-o", "yaml").out) == value


def test_workloads(plait: Plait, mesh: FakeMesh):
    """`plait get workloads` shows a namespace's workloads; -A those of all."""
    assert plait("get", "workloads").out.splitlines() == [
        "NAME  PHASE    READY  ADDRESS   PORTS                SERVICES  IDENTITY                         CAPTURE",
        "web   Running  yes    10.7.1.2  main:8080/http,9090  web       cluster.local/ns/default/sa/web  transparent",
    ]
    assert [line.split()[:2] for line in plait("get", "workloads", "-A").out.splitlines()[1:]] == [
        ["default", "web"],
        ["data", "db"],
    ]
    assert "127.0.0.1:8080" in plait("get", "workloads", "-o", "wide").out


def test_workload_that_is_not_there(plait: Plait, mesh: FakeMesh):
    """A name that is not there is refused, with what to look at."""
    outcome = plait("get", "workloads", "absent")

    assert (outcome.code, outcome.out) == (4, "")
    assert outcome.err.splitlines() == [
        "error: no workload 'absent' in the namespace default",
        "  hint: see `plait get workloads -A`",
    ]


def test_apply_get_delete(plait: Plait, mesh: FakeMesh, shop: Path):
    """What is applied can be read in every form, applied again without change, and deleted."""
    assert plait("apply", "-f", "shop.yaml").out == "service/web created\nhttproute/web created\n"
    assert plait("apply", "-f", "shop.yaml").out == "service/web unchanged\nhttproute/web unchanged\n"

    table = plait("get", "svc")
    assert (table.code, table.out.split()[0]) == (0, "NAME")
    assert "web" in table.out
    assert plait("get", "httproutes", "-A").out.split()[0] == "NAMESPACE"
    assert json.loads(plait("get", "HTTPRoute", "web", "-o", "json").out)["spec"]["rules"][0]["backendRefs"]
    assert yaml.safe_load(plait("get", "services", "-o", "yaml").out)["kind"] == "ServiceList"

    assert plait("delete", "httproute", "web").out == "httproute/web deleted\n"
    again = plait("delete", "-f", "shop.yaml")
    assert (again.code, again.out) == (4, "service/web deleted\n")
    assert "httproute/web is not there" in again.err
    assert plait("delete", "svc", "web", "--ignore-not-found").code == 0
    assert plait("get", "svc").err == "No objects found.\n"


def test_source_lines_are_sent(plait: Plait, mesh: FakeMesh, shop: Path):
    """An applied object carries the file and lines that it was written on."""
    plait("apply", "-f", "shop.yaml")

    annotations = json.loads(plait("get", "httproute", "web", "-o", "json").out)["metadata"]["annotations"]
    source = json.loads(annotations["plait.dev/source"])

    assert (source["file"], source["line"]) == ("shop.yaml", 10)
    assert source["lines"]["spec.rules[0]"] == 18


def test_apply_from_standard_input(plait: Plait, mesh: FakeMesh):
    """`-f -` reads standard input."""
    assert plait("apply", "-f", "-", stdin=ROUTE).out == "service/web created\nhttproute/web created\n"


def test_apply_dry_run(plait: Plait, mesh: FakeMesh, shop: Path):
    """A dry run says what would happen and changes nothing."""
    assert plait("apply", "-f", "shop.yaml", "--dry-run").out.startswith("service/web created (dry run)\n")
    assert plait("get", "svc", "web").code == 4


def test_a_dry_run_tells_what_would_change_and_what_envoy_would_refuse(plait: Plait, mesh: FakeMesh, shop: Path):
    """Who would change, which conditions would turn bad and what Envoy says, each at the user's line; then it fails."""
    source = schemas.Source(kind="HTTPRoute", namespace="default", name="web", file="shop.yaml", line=10)
    mesh.rehearsal = schemas.Rehearsal(
        proxies=2,
        workloads=(schemas.RehearsedWorkload(namespace="default", name="client", added=1, changed=2),),
        conditions=(
            schemas.RehearsedCondition(
                source=source, at="Service web", type="ResolvedRefs", status="False", reason="BackendNotFound",
                message="no Service v9",
            ),
        ),
        validated=3,
        refused=(
            schemas.RehearsedRefusal(
                proxy="default/client", resource="web:80", message="no such cluster", sources=(source,)
            ),
        ),
    )  # fmt: skip

    outcome = plait("apply", "-f", "shop.yaml", "--dry-run")

    assert outcome.code == 1
    assert outcome.out.splitlines()[2:] == [
        "default/client would change: 3 resources (1 added, 2 changed)",
        "1 of 2 connected proxies would change.",
        "shop.yaml:10: HTTPRoute default/web: would become ResolvedRefs=False at Service web (BackendNotFound): "
        "no Service v9",
        "shop.yaml:10: HTTPRoute default/web: Envoy would refuse web:80 at default/client: no such cluster",
    ]


def test_a_dry_run_that_envoy_takes_ends_well(plait: Plait, mesh: FakeMesh, shop: Path):
    """How many resources Envoy took is said; where none could be asked, that is said too, and is no failure."""
    mesh.rehearsal = schemas.Rehearsal(proxies=1, validated=3)
    taken = plait("apply", "-f", "shop.yaml", "--dry-run")
    mesh.rehearsal = schemas.Rehearsal(proxies=1, unvalidated="no Envoy is installed")
    unasked = plait("apply", "-f", "shop.yaml", "--dry-run")

    assert (taken.code, taken.out.splitlines()[-1]) == (0, "Envoy takes 3 new resources.")
    assert (unasked.code, unasked.out.splitlines()[-1]) == (
        0, "Envoy was not asked about all: no Envoy is installed.",
    )  # fmt: skip


def test_apply_prunes_its_owners_rest(plait: Plait, mesh: FakeMesh, shop: Path):
    """--prune deletes what the same owner applied before and has not any more."""
    plait("apply", "-f", "shop.yaml", "--owner", "shop")
    shop.write_text(ROUTE.partition("---")[0])

    assert plait("apply", "-f", "shop.yaml", "--prune", "--owner", "shop").out == (
        "service/web unchanged\nhttproute/web deleted\n"
    )
    alone = plait("apply", "-f", "shop.yaml", "--prune")
    assert (alone.code, alone.err.splitlines()[0]) == (2, "error: --prune needs to know whose set this is")


def test_apply_is_all_or_nothing(plait: Plait, mesh: FakeMesh, shop: Path):
    """With a mistake in one object nothing is applied, and every mistake is told with file and line."""
    shop.write_text(ROUTE.replace("selector:", "selectors:").replace("port: 80}\n  rules", "port: x}\n  rules"))

    outcome = plait("apply", "-f", "shop.yaml")

    assert (outcome.code, outcome.out) == (1, "")
    lines = outcome.err.splitlines()
    assert lines[0].startswith("shop.yaml:6: Service")
    assert any(line.startswith("shop.yaml:16: HTTPRoute") for line in lines)
    assert lines[-1].endswith("mistakes found; nothing was applied")
    assert plait("get", "svc", "web").code == 4


def test_stored_kinds_have_a_note(plait: Plait, mesh: FakeMesh):
    """A kind that only Kubernetes can run is stored with a note, not an error."""
    text = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {}\n"

    outcome = plait("apply", "-f", "-", stdin=text)

    assert (outcome.code, outcome.out) == (0, "deployment/web stored\n")
    assert outcome.err.startswith("  note: ")


def test_wait_says_who_holds_it(plait: Plait, mesh: FakeMesh, shop: Path):
    """--wait asks for the applied revision and says how many proxies hold it; none is success and said so."""
    nobody = plait("apply", "-f", "shop.yaml", "--wait")
    assert (nobody.code, nobody.out.splitlines()[-1]) == (0, "No proxy needs this change; nothing to wait for.")
    assert mesh.asked[-1].revision > 0
    assert mesh.asked[-1].timeout == 30

    mesh.waited = schemas.WaitAnswer(proxies=("default/web", "data/db"), seconds=0.04)
    assert plait("apply", "--wait", "5s", "-f", "shop.yaml").out.splitlines()[-1] == "2 proxies hold it in 40ms."
    assert mesh.asked[-1].timeout == 5


def test_wait_times_out(plait: Plait, mesh: FakeMesh, shop: Path):
    """Proxies that do not hold it in time are named, and the exit code is 5."""
    mesh.waited = schemas.WaitAnswer(pending=("default/web",), seconds=2)

    outcome = plait("apply", "-f", "shop.yaml", "--wait=2s")

    assert outcome.code == 5
    assert "after 2s these proxies do not hold it yet: default/web" in outcome.err


def test_wait_is_refused_by_a_proxy(plait: Plait, mesh: FakeMesh, shop: Path):
    """A proxy that refuses the change makes the command fail with its reason."""
    refusal = schemas.RefusingProxy(namespace="default", name="web", message="no such filter")
    mesh.waited = schemas.WaitAnswer(refused=(refusal,))

    outcome = plait("apply", "-f", "shop.yaml", "--wait")

    assert outcome.code == 4
    assert "proxies refused it: default/web: no such filter" in outcome.err


def test_diff(plait: Plait, mesh: FakeMesh, shop: Path):
    """`plait diff` shows what applying would change, exit code 1; nothing afterwards, exit code 0."""
    new = plait("diff", "-f", "shop.yaml")
    assert new.code == 1
    assert "+++ then: HTTPRoute default/web" in new.out

    plait("apply", "-f", "shop.yaml")
    same = plait("diff", "-f", "shop.yaml")
    assert (same.code, same.out, same.err) == (0, "", "No differences.\n")

    shop.write_text(ROUTE.replace("port: 80, targetPort", "port: 81, targetPort"))
    changed = plait("diff", "-f", "shop.yaml")
    assert changed.code == 1
    assert [line.strip() for line in changed.out.splitlines() if "port: 8" in line.lower() and line[0] in "+-"]
    assert "HTTPRoute" not in changed.out
    assert [change["object"] for change in json.loads(plait("diff", "-f", "shop.yaml", "-o", "json").out)] == [
        "Service default/web"
    ]


def test_diff_shows_what_the_server_would_add(plait: Plait, mesh: FakeMesh, shop: Path):
    """A new object is shown with the server's defaults; one without a namespace is named without one."""
    shop.write_text("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n")
    named = json.loads(plait("diff", "-f", "shop.yaml", "-o", "json").out)
    shop.write_text(
        shop.read_text()
        + "---\n"
        + ROUTE.partition("---")[0].replace("  name: web\n", "  name: web\n  namespace: shop\n", 1)
    )
    inside = json.loads(plait("diff", "-f", "shop.yaml", "-o", "json").out)
    shop.write_text(ROUTE)
    route = json.loads(plait("diff", "-f", "shop.yaml", "-o", "json").out)[-1]

    assert [change["object"] for change in named] == ["Namespace shop"]
    assert [change["object"] for change in inside] == ["Namespace shop", "Service shop/web"]
    assert route["before"] is None
    assert route["after"]["metadata"]["namespace"] == "default"


def test_why(plait: Plait, mesh: FakeMesh):
    """`plait why` asks with method, headers and claims, and tells the steps with their lines of YAML."""
    outcome = plait(
        "why", "--from", "web", "-H", "X-User: ada", "--jwt-claims", '{"sub": "ada"}', "post", "http://web/a"
    )

    assert outcome.code == 0
    assert outcome.out.splitlines() == [
        "POST http://web/a is allowed.",
        "  1. caller: web",
        "  2. rule: path prefix / matches  [HTTPRoute default/web spec.rules[0] (shop.yaml:12)]",
        "     answer within 15s",
    ]
    assert mesh.asked[-1].headers == {"x-user": "ada"}
    assert mesh.asked[-1].jwt_claims == {"sub": "ada"}


@pytest.mark.parametrize(
    ("words", "code", "problem"),
    [
        (["http://web/"], 2, "who calls?"),
        (["--from", "web", "--principal", "spiffe://a/b", "http://web/"], 2, "who calls?"),
        (["--from", "web", "web"], 2, "'web' is no URL"),
        (["--from", "web", "-H", "x", "http://web/"], 2, "-H 'x' is no header"),
        (["--from", "web", "--jwt-claims", "[]", "http://web/"], 2, "--jwt-claims is no JSON object"),
        (["--from", "web", "http://absent/"], 4, "no name absent in the mesh"),
    ],
)
def test_why_mistakes(plait: Plait, mesh: FakeMesh, *, words: list[str], code: int, problem: str):
    """Each mistake of a question has its sentence and exit code."""
    outcome = plait("why", *words)

    assert (outcome.code, outcome.out) == (code, "")
    assert outcome.err.startswith(f"error: {problem}")


def test_proxies(plait: Plait, mesh: FakeMesh):
    """`plait proxy list` shows states, and what was refused with the object it came from."""
    outcome = plait("proxy", "list")

    assert outcome.out.splitlines() == [
        "NAMESPACE  NAME  KIND     STATE    NODE  RESOURCES",
        "default    web   sidecar  synced   here         14",
        "data       db    sidecar  refused  here          9",
    ]
    assert outcome.err == (
        "data/db refused LISTENER: no such filter  [HTTPRoute default/web spec.rules[0] (shop.yaml:12)]\n"
    )


def test_proxy_config(plait: Plait, mesh: FakeMesh):
    """`plait proxy config` prints what the proxy holds; an unknown proxy is refused."""
    assert json.loads(plait("proxy", "config", "web").out) == {"listeners": [{"name": "outbound"}]}
    assert plait("proxy", "config", "absent").code == 4


def test_proxy_logs(plait: Plait, mesh: FakeMesh, state_dir: Path):
    """`plait proxy logs` prints the last lines of a local proxy's log; without one it is refused."""
    log = state_dir / "node/workloads/default_web/proxy/envoy.log"
    log.parent.mkdir(parents=True)
    log.write_text("a\nb\nc\n")

    assert plait("proxy", "logs", "web", "--tail", "2").out == "b\nc\n"
    assert plait("proxy", "logs", "absent").code == 4


def test_top(plait: Plait, mesh: FakeMesh):
    """`plait top` prints edges once through a pipe, the busiest first."""
    assert plait("top").out.splitlines() == [
        "CALLER  CALLED   SERVICE                    PROTOCOL  PER SECOND  FAILED  P50 MS  P90 MS  P99 MS",
        "load    web      -                          http            12.2    0.4%     1.2     4.0    20.0",
        "web     data/db  db.data.svc.cluster.local  tcp              0.5    0.0%       -       -       -",
    ]


def test_tokens(plait: Plait, mesh: FakeMesh):
    """A token is printed alone on standard output, so that it can be captured; how to use it goes beside."""
    outcome = plait("token", "create", "--node", "b", "--allow", "default/web", "--allow", "data/*")

    assert (outcome.code, outcome.out) == (0, "plait-token-1\n")
    assert "plait node --join TOKEN" in outcome.err
    assert mesh.asked[-1] == ({"node": "b", "allow": ["default/web", "data/*"]}, "owner")
    assert json.loads(plait("token", "create", "--user", "ada", "-o", "json").out)["user"] == "ada"


@pytest.mark.parametrize(
    ("words", "code", "problem"),
    [
        ([], 2, "whom is it for?"),
        (["--node", "b", "--user", "a"], 2, "whom is it for?"),
        (["--node", "b"], 2, "--node needs to know which identities"),
        (["--node", "b", "--allow", "web"], 2, "'web' is no identity"),
        (["--node", "slow", "--allow", "default/web"], 5, "the authority did not answer"),
    ],
)
def test_token_mistakes(plait: Plait, mesh: FakeMesh, *, words: list[str], code: int, problem: str):
    """Each mistake has its sentence and exit code."""
    outcome = plait("token", "create", *words)

    assert (outcome.code, outcome.out) == (code, "")
    assert outcome.err.startswith(f"error: {problem}")


def test_grants(plait: Plait, mesh: FakeMesh):
    """Grants are added, listed and removed; they are one ConfigMap."""
    assert plait("grant", "list").out == "No grants: only the owner of the mesh may run workloads.\n"

    assert plait("grant", "add", "ci", "--user", "1001", "--allow", "default/*").code == 0
    assert plait("grant", "add", "web", "--executable", "/usr/bin/python3", "--allow", "default/web").code == 0

    assert plait("grant", "list").out.splitlines() == [
        "NAME  UID   EXECUTABLE        CGROUP  ALLOW",
        "ci    1001  -                 -       default/*",
        "web   -     /usr/bin/python3  -       default/web",
    ]
    assert plait("grant", "remove", "ci").out == "grant ci removed\n"
    assert [row["name"] for row in json.loads(plait("grant", "list", "-o", "json").out)] == ["web"]
    assert plait("grant", "remove", "ci").code == 4
    assert plait("grant", "add", "x", "--allow", "default/web").code == 2
    assert plait("grant", "add", "x", "--user", "nobody-of-that-name", "--allow", "default/web").code == 2


def test_unknown_kind(plait: Plait, mesh: FakeMesh):
    """An unknown kind is a usage error that proposes the nearest."""
    outcome = plait("get", "htproutes")

    assert outcome.code == 2
    assert outcome.err.splitlines() == ["error: there is no kind 'htproutes'", "  hint: did you mean httproutes?"]
