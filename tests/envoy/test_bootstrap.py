"""The bootstrap is what Envoy accepts, and opens nothing but what it says."""

from pathlib import Path

from plait.envoy import bootstrap
from tests.envoy.real import validate_document


def test_envoy_accepts_the_bootstrap(tmp_path: Path) -> None:
    """Envoy accepts it, with and without name servers of its own."""
    ads, admin = str(tmp_path / "ads.sock"), str(tmp_path / "admin.sock")
    plain = bootstrap.bootstrap("default/web", ads_socket=ads, admin_socket=admin)
    resolvers = (("10.1.0.1", 5354),)
    resolving = bootstrap.bootstrap("default/web", ads_socket=ads, admin_socket=admin, resolvers=resolvers)

    assert [validate_document(plain, tmp_path), validate_document(resolving, tmp_path)] == ["", ""]


def test_the_admin_interface_is_the_owners_alone() -> None:
    """The admin interface is a unix socket with mode 0600."""
    document = bootstrap.bootstrap("default/web", ads_socket="/run/ads", admin_socket="/run/admin")

    assert document["admin"] == {"address": {"pipe": {"path": "/run/admin", "mode": 0o600}}}


def test_a_changed_listener_drains_within_a_second() -> None:
    """The arguments bound the life of connections that a changed policy no longer allows."""
    arguments = bootstrap.arguments("/run/bootstrap.json")

    assert arguments[5:9] == ("--drain-time-s", "1", "--drain-strategy", "immediate")
