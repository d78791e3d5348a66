"""BackendTLSPolicies: which is in force, whom it trusts, what its status says, and that nothing is sent in doubt."""

from typing import Any

from plait.model.backend_tls import BackendTls
from plait.model.view import OutboundCluster
from plait.resources.parse import Resource
from plait.snapshot.build import Builder
from plait.snapshot.project import project
from plait.snapshot.services import service_host
from tests.envoy import certificates
from tests.snapshot.resources_builders import (
    GATEWAY_API,
    backend,
    built,
    conditions,
    gateway,
    http_route,
    key_of,
    name_of,
    resource,
    rule,
    service,
    to_gateway,
    workload,
)

AUTHORITY = certificates.shared().bundle.decode()
BANK = service("bank", {"port": 443, "name": "https"}, {"port": 8443, "name": "other"})
CA = resource("v1", "ConfigMap", "ca", data={"ca.crt": AUTHORITY})
OK = {"Accepted": ("True", "Accepted"), "ResolvedRefs": ("True", "ResolvedRefs")}


def policy(name: str, *refs: str, section: str = "", kind: str = "ConfigMap", **fields: Any) -> Resource:
    """A policy for `bank` that trusts these objects, or the system."""
    meta = {key: fields.pop(key) for key in ("created",) if key in fields}
    target = {"group": "", "kind": "Service", "name": "bank", **({"sectionName": section} if section else {})}
    trusted: dict[str, Any] = {"caCertificateRefs": [{"group": "", "kind": kind, "name": ref} for ref in refs]}
    if not refs:
        trusted = {"wellKnownCACertificates": "System"}
    spec = {"targetRefs": [target], "validation": {"hostname": "bank.example", **trusted, **fields}}
    return resource(GATEWAY_API, "BackendTLSPolicy", name, spec=spec, **meta)


def meant(builder: Builder, port: int = 443) -> BackendTls | None:
    return builder.snapshot.backend_tls.get((name_of("bank"), port))


def said(builder: Builder, name: str) -> dict[str, tuple[str, str]]:
    return conditions(builder.statuses["BackendTLSPolicy", name_of(name)].ancestors[0].conditions)


def called(builder: Builder) -> OutboundCluster:
    """The cluster of `bank` as a client in the mesh holds it."""
    view = project(builder.snapshot, name_of("client"), frozenset({service_host(name_of("bank"))}))
    return next(item for item in view.clusters if item.key.port == 443)


def test_a_policy_says_whom_to_trust_and_for_what_name():
    """The host name is asked for and must be proven, unless other names are given."""
    builder = built(BANK, CA, policy("p", "ca"))
    assert meant(builder) == BackendTls(
        server_name="bank.example", hosts=("bank.example",), authorities=AUTHORITY.encode()
    )
    assert said(builder, "p") == OK

    names = [{"type": "URI", "uri": "spiffe://a/b"}, {"type": "Hostname", "hostname": "b.example"}]
    found = meant(built(BANK, policy("p", subjectAltNames=names)))
    assert found == BackendTls(server_name="bank.example", hosts=("b.example",), uris=("spiffe://a/b",))


def test_the_proxy_ends_mutual_tls_where_the_backend_ends_tls():
    """The cluster has the policy's TLS and no identity of the mesh; without the policy it is the other way round."""
    parts = (BANK, CA, workload("client", "10.0.0.9"), workload("bank-1", app="bank", ports={"https": 8080}))
    plain, secured = called(built(*parts)), called(built(*parts, policy("p", "ca")))

    assert (bool(plain.identities), plain.backend_tls) == (True, None)
    assert (secured.identities, secured.backend_tls is not None, secured.missing) == ((), True, False)


def test_without_a_valid_authority_nothing_is_sent():
    """A missing ConfigMap, one without certificates and one of another kind refuse the policy; the cluster is gone."""
    client = workload("client", "10.0.0.9")
    empty = resource("v1", "ConfigMap", "ca", data={"ca.crt": "nothing"})
    for held, kind, reason in (
        ((), "ConfigMap", "InvalidCACertificateRef"),
        ((empty,), "ConfigMap", "InvalidCACertificateRef"),
        ((CA,), "Gateway", "InvalidKind"),
    ):
        builder = built(BANK, client, *held, policy("p", "ca", kind=kind))
        found = said(builder, "p")
        assert found == {"Accepted": ("False", "NoValidCACertificate"), "ResolvedRefs": ("False", reason)}
        assert called(builder).missing


def test_a_configmap_that_comes_later_heals_the_policy():
    """The objects with authorities are followed."""
    builder = built(BANK, policy("p", "ca"))
    assert said(builder, "p")["Accepted"] == ("False", "NoValidCACertificate")

    touched = builder.update([CA]).touched

    assert said(builder, "p") == OK
    assert service_host(name_of("bank")) in touched.hosts


def test_the_older_policy_wins_and_one_for_a_port_before_one_for_all():
    """The younger is Conflicted until the older is gone; a section has its own policy."""
    old = policy("z", "ca", created=1)
    builder = built(BANK, CA, old, policy("a", created=5), policy("part", section="other", created=9))

    assert meant(builder, 443) != meant(builder, 8443)
    assert said(builder, "a")["Accepted"] == ("False", "Conflicted")
    assert (said(builder, "z"), said(builder, "part")) == (OK, OK)

    builder.update([], [key_of(old)])

    assert said(builder, "a") == OK
    assert meant(builder, 443) == BackendTls(server_name="bank.example", hosts=("bank.example",))


def test_a_target_must_exist():
    """A Service or port that is not there is told."""
    assert said(built(CA, policy("p", "ca")), "p")["Accepted"] == ("False", "TargetNotFound")
    assert said(built(BANK, CA, policy("p", "ca", section="no")), "p")["Accepted"] == ("False", "TargetNotFound")


def test_its_status_is_at_the_gateways_that_send_to_the_target():
    """With a route of a Gateway to the Service the Gateway is the ancestor, else the Service."""
    builder = built(BANK, CA, policy("p", "ca"))
    assert dict(builder.statuses["BackendTLSPolicy", name_of("p")].ancestors[0].parent)["kind"] == "Service"

    builder.update([gateway("edge"), http_route("r", [to_gateway("edge")], rule(backend("bank", port=443)))])

    (found,) = builder.statuses["BackendTLSPolicy", name_of("p")].ancestors
    assert (dict(found.parent)["kind"], dict(found.parent)["name"]) == ("Gateway", "edge")
