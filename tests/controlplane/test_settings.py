"""What control can be told."""

from datetime import timedelta
from pathlib import Path

import pytest

from plait.controlplane.settings import ControlSettings, load
from plait.errors import RefusedError


def test_leaves_live_as_long_as_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The life of leaves is a day unless the environment says otherwise."""
    assert ControlSettings().leaf_ttl == timedelta(hours=24)
    monkeypatch.setenv("PLAIT_LEAF_TTL", "90m")
    assert ControlSettings().leaf_ttl == timedelta(minutes=90)


@pytest.mark.parametrize("text", ["soon", "10s", "1000h", "-5m"])
def test_a_life_that_cannot_work_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """A life that is none, too short to be renewed in, or too long is refused with the limits."""
    monkeypatch.setenv("PLAIT_LEAF_TTL", text)
    with pytest.raises(RefusedError, match="PLAIT_LEAF_TTL"):
        ControlSettings()


def test_all_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A value of the environment that is none of its kind, or out of bounds, is the user's mistake."""
    monkeypatch.setenv("PLAIT_WORKERS", "-3")
    monkeypatch.setenv("PLAIT_PERMISSIVE", "perhaps")
    with pytest.raises(RefusedError) as refusal:
        load(tmp_path)
    assert "PLAIT_WORKERS: '-3'" in refusal.value.problem
    assert "PLAIT_PERMISSIVE: 'perhaps'" in refusal.value.problem


def test_a_flag_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What no flag says is taken from the environment."""
    monkeypatch.setenv("PLAIT_WORKERS", "3")
    monkeypatch.setenv("PLAIT_TRUST_DOMAIN", "a.b")
    settings = load(tmp_path, workers=2)
    assert (settings.state_dir, settings.workers, settings.trust_domain) == (tmp_path, 2, "a.b")
