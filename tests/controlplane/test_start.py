"""What the control process settles at its start, and its mistakes' sentences."""

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from plait.ads.transport import TlsIdentity
from plait.controlplane.mesh import settled_mesh
from plait.controlplane.parts import Control
from plait.controlplane.reached import listen_address
from plait.controlplane.settings import ControlSettings
from plait.controlplane.state import StateDirectory
from plait.controlplane.uplinks import identity
from plait.errors import PlaitError, RefusedError
from plait.identity.svid import Svid

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def test_a_mesh_keeps_its_trust_domain_and_range(tmp_path: Path):
    """A restart without flags finds what the first start settled; a flag that contradicts is refused."""
    state = StateDirectory(tmp_path)
    state.prepare()
    first = settled_mesh(state, ControlSettings(state_dir=tmp_path, trust_domain="example.org"))

    assert settled_mesh(state, ControlSettings(state_dir=tmp_path)) == first
    with pytest.raises(RefusedError, match=r"has trust domain example\.org, not other"):
        settled_mesh(state, ControlSettings(state_dir=tmp_path, trust_domain="other"))


def test_a_state_directory_of_another_format_is_refused(tmp_path: Path):
    """Nothing is read from a directory that another version wrote."""
    (tmp_path / "version").write_text("99\n")

    with pytest.raises(PlaitError, match="has format 99; this Plait reads format 1"):
        StateDirectory(tmp_path).prepare()


def test_secrets_are_readable_by_their_owner_only(tmp_path: Path):
    """The owner's token and the kubeconfig have mode 0600."""
    state = StateDirectory(tmp_path)
    state.prepare()
    state.owner_token()
    state.write_kubeconfig("https://127.0.0.1:1", "bundle", "token")

    assert {path.stat().st_mode & 0o777 for path in (state.token_file, state.kubeconfig)} == {0o600}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ("10.0.0.1", ("10.0.0.1", 0)),
        ("10.0.0.1:7000", ("10.0.0.1", 7000)),
        ("[::1]:7000", ("::1", 7000)),
        ("::1", ("::1", 0)),
    ],
)
def test_addresses_to_listen_on(text: str | None, expected: tuple[str, int] | None):
    """HOST, HOST:PORT, and IPv6 with or without a port."""
    assert listen_address(text) == expected


def test_a_port_that_is_none_is_refused():
    """The sentence says what to write."""
    with pytest.raises(PlaitError, match="write HOST or HOST:PORT"):
        listen_address("10.0.0.1:web")


class Renewed:
    """The servers' certificates, renewed by another thread after each look at them."""

    def __init__(self) -> None:
        self.looks = 0

    @property
    def current(self) -> Svid:
        """The next certificate."""
        self.looks += 1
        name = str(self.looks).encode()
        return Svid(spiffe_id="", chain=b"chain " + name, key=b"key " + name, not_before=NOW, not_after=NOW)


def test_a_renewal_never_mixes_two_certificates():
    """gRPC asks for the identity in a thread of its own: chain and key are those of one certificate."""
    control = SimpleNamespace(certificates=Renewed(), authority=SimpleNamespace(bundle=b"roots"))

    assert identity(cast("Control", control)) == TlsIdentity(chain=b"chain 1", key=b"key 1", roots=b"roots")
