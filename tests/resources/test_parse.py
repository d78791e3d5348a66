"""Documents become resources; sets are checked whole."""

import json
from typing import Any

import pytest

from plait.model.ids import ObjectName, Origin
from plait.resources.parse import SOURCE_ANNOTATION, Resource, parse, read_source, validate, write_source
from plait.resources.yaml import load
from tests.resources.documents import Document, document, http_route, resource, service, violations

ROUTE = """\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: reviews
  labels: {team: shop}
  generation: 3
  creationTimestamp: "2026-11-22T10:00:00Z"
spec:
  parentRefs:
  - {group: "", kind: Service, name: reviews}
  rules:
  - backendRefs:
    - name: reviews
      port: 80
"""


def test_resources_carry_their_metadata():
    """Name, default namespace, generation, time and labels are at hand; the document is kept."""
    (read,) = load(ROUTE, "shop.yaml").documents
    made = resource(read.value, lines=read.lines, file=read.file, default_namespace="shop")

    assert made.object_name == ObjectName(namespace="shop", name="reviews")
    assert (made.kind.kind, made.generation, made.created) == ("HTTPRoute", 3, 1795341600.0)
    assert made.labels == {"team": "shop"}
    assert made.document is read.value


def test_origins_lead_to_the_line():
    """An origin has the line of the field, or of what surrounds it."""
    (read,) = load(ROUTE, "shop.yaml").documents
    made = resource(read.value, lines=read.lines, file=read.file)

    assert made.origin("spec.rules[0].backendRefs[0].port").line == 14
    assert made.origin("spec.rules[0].matches[3].path").line == 12
    assert made.origin().line == 1
    assert str(made.origin("spec.rules[0]")) == "HTTPRoute default/reviews spec.rules[0] (shop.yaml:12)"


def test_origins_survive_the_store():
    """What `plait apply` notes in the annotation gives the same origins later, without the file."""
    (read,) = load(ROUTE, "shop.yaml").documents
    note = write_source(read)
    value = {**read.value, "metadata": {**read.value["metadata"], "annotations": {SOURCE_ANNOTATION: note}}}
    made = resource(value)

    origin = made.origin("spec.rules[0].backendRefs[0]")

    assert (origin.file, origin.line) == ("shop.yaml", 13)
    assert origin == Origin(kind="HTTPRoute", namespace="default", name="reviews", path="spec.rules[0].backendRefs[0]")


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', '{"file": 3}', '{"file": "a", "lines": [], "line": "x"}'])
def test_foreign_source_annotations_do_no_harm(text: str):
    """Whatever stands in the annotation, an origin can be made."""
    file, lines = read_source(text)

    assert file in ("", "a")
    assert lines == {}


@pytest.mark.parametrize(
    ("made", "path", "problem"),
    [
        ([], "", "must be an object with apiVersion and kind"),
        ({}, "apiVersion", "Required value"),
        ({"apiVersion": "v1", "kind": 3}, "kind", "must be of type string"),
        (document("v1", "Servce"), "kind", 'no matches for kind "Servce" in version "v1"'),  # codespell:ignore servce
        (document("v2", "Service"), "apiVersion", 'no matches for kind "Service" in version "v2"'),
        (
            {"apiVersion": "v1", "kind": "ConfigMap"},
            "metadata.name",
            "Required value: name or generateName is required",
        ),
        ({"apiVersion": "v1", "kind": "ConfigMap", "metadata": []}, "metadata", "must be of type object, not array"),
    ],
)
def test_documents_that_are_no_objects(made: Any, path: str, problem: str):
    """What is no object of a kind is told, with the field."""
    found = violations(made)

    assert (found[0].path, found[0].problem) == (path, problem)


def test_mistaken_kinds_propose_the_nearest():
    """A kind that is nearly known, or known in another group, is proposed."""
    assert "v1 Service" in violations(document("v1", "Servce"))[0].remedy  # codespell:ignore servce
    assert violations(document("v1", "HTTPRoute"))[0].remedy.startswith(
        "did you mean gateway.networking.k8s.io/v1 HTTPRoute"
    )
    assert violations(document("gateway.networking.k8s.io/v9", "HTTPRoute"))[0].remedy == (
        "served: gateway.networking.k8s.io/v1, gateway.networking.k8s.io/v1beta1"
    )


@pytest.mark.parametrize(
    ("metadata", "path"),
    [
        ({"name": "Reviews"}, "metadata.name"),
        ({"name": "a" * 64}, "metadata.name"),
        ({"name": "1a"}, "metadata.name"),
        ({"name": "a", "namespace": "a.b"}, "metadata.namespace"),
        ({"name": "a", "labels": {"a b": "c"}}, "metadata.labels[a b]"),
        ({"name": "a", "labels": {"/b": "c"}}, "metadata.labels[/b]"),
        ({"name": "a", "labels": {"a": "c d"}}, "metadata.labels[a]"),
        ({"name": "a", "labels": {"a": 1}}, "metadata.labels.a"),
        ({"name": "a", "annotations": {"a": 1}}, "metadata.annotations.a"),
        ({"name": "a", "annotations": {"_a": "1"}}, "metadata.annotations[_a]"),
        ({"name": "a", "namespce": "b"}, "metadata.namespce"),
        ({"name": 1}, "metadata.name"),
    ],
)
def test_metadata_is_checked(metadata: Document, path: str):
    """Names, labels and annotations follow Kubernetes' rules; unknown fields are told."""
    made = {**service(), "metadata": metadata}

    assert [violation.path for violation in violations(made)] == [path]


def test_what_the_server_writes_is_accepted():
    """Metadata and status as a server returns them, nulls included, come in again."""
    metadata: Document = {
        "name": "a",
        "uid": "1",
        "resourceVersion": "5",
        "generation": 2,
        "creationTimestamp": None,
        "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}],
        "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": "y"}],
        "selfLink": "/x",
    }
    made = {**service(), "metadata": metadata, "status": {"anything": [1, None]}}

    assert violations(made) == ()
    assert violations({**made, "status": ["odd"]}) == ()


def test_kinds_that_only_kubernetes_runs_are_kept_with_a_note():
    """A Deployment is stored, with a note; so is a kind of an unknown group. Their metadata is still checked."""
    deployment = resource(document("apps/v1", "Deployment", {"replicas": "many"}))
    foreign = resource(document("example.com/v1", "Proxy", {"x": 1}))

    assert (deployment.spec, deployment.kind.stored_only) == (None, True)
    assert deployment.kind.note == "stored; Plait does not run Deployment objects"
    assert (foreign.kind.plural, foreign.kind.group) == ("proxies", "example.com")
    assert violations(document("apps/v1", "Deployment", name="a/b"))[0].path == "metadata.name"


def test_a_set_is_checked_whole():
    """Every mistake of every document comes at once, in the order of the file."""
    text = ROUTE.replace("port: 80", 'port: "80"') + "---\n" + ROUTE.replace("rules:", "rulez:") + "---\nkind: Pod\n"

    found = validate(load(text, "shop.yaml").documents)

    assert [(violation.line, violation.path) for violation in found] == [
        (14, "spec.rules[0].backendRefs[0].port"),
        (26, "spec.rulez"),
        (31, "apiVersion"),
    ]


def test_duplicates_are_told():
    """The same object twice in a set is a mistake, also when one leaves out the default namespace."""
    other = ROUTE.replace("  labels", "  namespace: default\n  labels")

    (found,) = validate(load(f"{ROUTE}---\n{other}", "shop.yaml").documents)

    assert (found.line, found.path) == (19, "metadata.name")
    assert "first at shop.yaml:4" in found.problem
    assert validate(load(f"{ROUTE}---\n{other}").documents, default_namespace="shop") == ()


def test_namespaces_must_exist():
    """A namespace is known already or made in the same set; a near name is proposed."""
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: shpo}\n"
    made = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shpo}\n"

    (found,) = validate(load(text, "x.yaml").documents, known_namespaces={"default", "shop"})

    assert (found.line, found.problem) == (3, 'namespaces "shpo" not found')
    assert 'did you mean "shop"?' in found.remedy
    assert validate(load(f"{text}---\n{made}").documents, known_namespaces={"default"}) == ()
    assert validate(load(text).documents) == ()


def test_violations_read_as_one_line():
    """Place, object, field, problem and remedy make one line."""
    (read,) = load(ROUTE.replace("port: 80", "prot: 80"), "shop.yaml").documents
    found = parse(read.value, lines=read.lines, file=read.file)
    assert not isinstance(found, Resource)

    assert [str(violation) for violation in found] == [
        "shop.yaml:13: HTTPRoute reviews spec.rules[0].backendRefs[0].port: Must have port for Service reference",
        'shop.yaml:14: HTTPRoute reviews spec.rules[0].backendRefs[0].prot: unknown field "prot"; did you mean "port"?',
    ]


def test_deep_documents_are_refused():
    """A document nested deeper than any object is a violation, not a crash."""
    deep: Any = {}
    for _ in range(5000):
        deep = {"a": deep}

    assert violations({**http_route(), "spec": deep})


def test_notes_are_json():
    """The source annotation is compact JSON."""
    (read,) = load(ROUTE, "shop.yaml").documents

    assert json.loads(write_source(read))["lines"]["spec.rules[0]"] == 12
