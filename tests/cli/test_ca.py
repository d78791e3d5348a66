"""`plait ca`: what it says of roots and stages, and what it asks of control."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import pytest

from plait.api.schemas import CaRoot, CaRotation, CaSigner, CaStatus
from tests.cli.conftest import Plait
from tests.cli.fake_mesh import FakeMesh

ENDS = datetime.now(UTC) + timedelta(days=100, hours=1)
Stage = Literal["steady", "distributing", "replacing"]


def authority(stage: Stage = "steady", *behind: str, within: float | None = None, here: bool = True) -> CaStatus:
    """What control says."""
    ends = ENDS.isoformat()
    roots = [CaRoot(fingerprint="a1" * 32, ends=ends, role="signs")]
    if stage != "steady":
        role = "next" if stage == "distributing" else "leaving"
        roots.append(CaRoot(fingerprint="b2" * 32, ends=ends, role=role))
    signer = CaSigner(fingerprint="c3" * 32, ends=ends, root_key_here=here)
    return CaStatus(
        stage=stage, since=ends, roots=tuple(roots), signer=signer, renew_within=within, behind=tuple(behind)
    )


def test_status_tells_roots_signer_and_who_is_behind(plait: Plait, mesh: FakeMesh) -> None:
    """Each on a line of its own; what to do about those behind goes to standard error."""
    mesh.authorities = [authority("distributing", "machine far", "proxy default/web", within=30.0, here=False)]
    outcome = plait("ca", "status")
    assert outcome.code == 0
    assert outcome.out.splitlines() == [
        "stage     1 of 3: the new root is handed out to everybody, the old one signs",
        f"root      a1a1a1a1a1a1a1a1  signs, ends {ENDS:%Y-%m-%d} (in 100 days)",
        f"root      b2b2b2b2b2b2b2b2  next, ends {ENDS:%Y-%m-%d} (in 100 days)",
        f"signer    c3c3c3c3c3c3c3c3  ends {ENDS:%Y-%m-%d} (in 100 days); the root's key is kept elsewhere",
        "renewal   of other signers' within 30s",
        "behind    2: machine far, proxy default/web",
    ]
    assert "plait delete node far" in outcome.err
    assert "--proceed" in outcome.err


def test_status_as_json(plait: Plait, mesh: FakeMesh) -> None:
    """The documented schema, with whole fingerprints."""
    mesh.authorities = [authority()]
    found = CaStatus.model_validate(json.loads(plait("ca", "status", "-o", "json").out))
    assert found == authority()


def test_many_behind_are_counted(plait: Plait, mesh: FakeMesh) -> None:
    """A line stays readable in a mesh of a thousand machines."""
    mesh.authorities = [authority("replacing", *(f"machine m{number:03}" for number in range(30)))]
    assert plait("ca", "status").out.splitlines()[-1].endswith("machine m009 and 20 more")


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ((), CaRotation()),
        (("--now",), CaRotation(within=30)),
        (("--root", "--within", "2m"), CaRotation(root=True, within=120)),
        (("--proceed",), CaRotation(proceed=True)),
        (("--cancel",), CaRotation(cancel=True)),
    ],
)
def test_rotate_asks_for_what_is_wanted(
    plait: Plait, mesh: FakeMesh, words: tuple[str, ...], wanted: CaRotation
) -> None:
    """Flags become one request."""
    mesh.authorities = [authority()]
    assert plait("ca", "rotate", *words).code == 0
    assert mesh.asked == [wanted]


def test_an_authority_of_ones_own_is_sent(plait: Plait, mesh: FakeMesh, tmp_path: Path) -> None:
    """The contents of both files, read where the command runs."""
    mesh.authorities = [authority()]
    (tmp_path / "c.pem").write_text("CERTIFICATE")
    (tmp_path / "k.pem").write_text("KEY")
    assert plait("ca", "rotate", "--root", "--ca-cert", "c.pem", "--ca-key", "k.pem").code == 0
    assert mesh.asked == [CaRotation(root=True, certificates="CERTIFICATE", key="KEY")]


def test_wait_returns_when_everybody_has_followed(plait: Plait, mesh: FakeMesh) -> None:
    """Through all stages, and through those that are behind in the last one."""
    mesh.authorities = [
        authority("distributing"),
        authority("replacing"),
        authority("steady", "machine m"),
        authority(),
    ]
    outcome = plait("ca", "rotate", "--root", "--wait")
    assert outcome.code == 0
    assert outcome.out.splitlines()[-1] == "behind    nobody"


def test_wait_ends_with_who_is_behind(plait: Plait, mesh: FakeMesh) -> None:
    """A rotation that somebody holds up is no success."""
    mesh.authorities = [authority("distributing", "machine far")]
    outcome = plait("ca", "rotate", "--root", "--wait", "--timeout", "100ms")
    assert outcome.code == 5
    assert "machine far" in outcome.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--root", "--cancel"), "exclude each other"),
        (("--ca-cert", "c.pem"), "belong together"),
        (("--within", "soon"), "no duration"),
        (("--ca-cert", "absent.pem", "--ca-key", "absent.key"), "cannot be read"),
    ],
)
def test_mistakes_are_told_before_anything_is_asked(
    plait: Plait, mesh: FakeMesh, words: tuple[str, ...], said: str
) -> None:
    """Exit code 2, one sentence."""
    outcome = plait("ca", "rotate", *words)
    assert outcome.code == 2
    assert said in outcome.err
    assert not mesh.asked
