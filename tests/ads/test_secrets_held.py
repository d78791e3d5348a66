"""Whether an Envoy has taken the machine's own secrets: what a rotation of the roots waits for."""

from plait.ads.secrets import identity_secrets
from plait.envoy.types import CLUSTER, LISTENER, SECRET
from tests.ads.test_relayed import BASE, Row


def test_secrets_are_held_once_acknowledged() -> None:
    """Not before Envoy has answered, and not any more once they have changed; without Envoy never."""
    row = Row().connect_control()
    row.proxy.set_secrets(identity_secrets(b"chain", b"key", b"one root"))
    assert not row.proxy.holds_secrets
    row.publish(*BASE).start_envoy().flow()
    assert row.envoy is not None
    row.envoy.subscribe(SECRET, "identity", "bundle")
    assert not row.proxy.holds_secrets
    row.flow()
    assert row.proxy.holds_secrets

    row.proxy.set_secrets(identity_secrets(b"chain", b"key", b"two roots"))
    assert not row.proxy.holds_secrets
    row.flow()
    assert row.proxy.holds_secrets
    row.stop_envoy()
    assert not row.proxy.holds_secrets


def test_an_envoy_that_is_back_holds_what_it_held() -> None:
    """Its old roots count as old until it has taken the new ones."""
    row = Row().connect_control()
    row.proxy.set_secrets(identity_secrets(b"chain", b"key", b"one root"))
    row.publish(*BASE).start_envoy().flow()
    assert row.envoy is not None
    row.envoy.subscribe(SECRET, "identity", "bundle")
    row.flow()
    held = row.stop_envoy()
    row.proxy.set_secrets(identity_secrets(b"chain", b"key", b"two roots"))
    row.start_envoy(held)
    assert row.envoy is not None
    for url in (CLUSTER, LISTENER):
        row.envoy.subscribe(url)
    row.envoy.subscribe(SECRET, "identity", "bundle")
    assert not row.proxy.holds_secrets
    row.flow()
    assert row.proxy.holds_secrets


def test_refused_secrets_are_not_held() -> None:
    """A bundle that Envoy cannot read holds a rotation up; what it held before is in force."""
    row = Row().connect_control()
    row.publish(*BASE).start_envoy().flow()
    assert row.envoy is not None
    row.envoy.subscribe(SECRET, "identity", "bundle")
    row.bad = lambda url, name, _: (url, name) == (SECRET, "bundle")
    row.proxy.set_secrets(identity_secrets(b"chain", b"key", b"no root"))
    row.flow()
    assert not row.proxy.holds_secrets
