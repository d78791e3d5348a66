"""What control can be told."""

from datetime import timedelta

import pytest

from plait.controlplane.settings import ControlSettings
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
