"""The last good configuration on disk."""

import logging
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.ads.last_good import LastGood, decode, encode
from plait.envoy.resource_set import ResourceSet
from plait.envoy.types import ALL_TYPES, CLUSTER, ROUTE
from tests.fake_envoy import made, made_set

SET = made_set(made(CLUSTER, "c"), made(ROUTE, "r"))


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    """The file is private; types known to be empty stay known."""
    kept = LastGood(tmp_path / "relay")
    kept.save("default/web", SET.replaced(ALL_TYPES[2], {}))
    assert LastGood(tmp_path / "relay").load("default/web") == SET.replaced(ALL_TYPES[2], {})
    (file,) = (tmp_path / "relay").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_nothing_is_known_of_a_new_or_removed_proxy(tmp_path: Path) -> None:
    """A save that comes too late does not bring a removed proxy back."""
    kept = LastGood(tmp_path / "relay")
    assert kept.load("default/web") == ResourceSet()
    kept.save("default/web", SET)
    kept.remove("default/web")
    kept.save("default/web", SET)
    assert kept.load("default/web") == ResourceSet()
    kept.save("default/web", SET)
    assert kept.load("default/web") == SET


def test_a_damaged_file_counts_as_missing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is told, and the proxy starts empty."""
    kept = LastGood(tmp_path / "relay")
    kept.save("default/web", SET)
    (file,) = (tmp_path / "relay").iterdir()
    with caplog.at_level(logging.WARNING):
        for content in (file.read_bytes()[:-1], b"", b"nonsense"):
            file.write_bytes(content)
            assert kept.load("default/web") == ResourceSet()
    assert "cannot be read" in caplog.text


@given(
    st.dictionaries(st.sampled_from(ALL_TYPES), st.dictionaries(st.text(min_size=1), st.text(), max_size=4), max_size=7)
)
def test_any_set_survives(content: dict[str, dict[str, str]]) -> None:
    """Encoding and decoding agree to the byte."""
    types = {
        url: {item.name: item for _, item in (made(url, name, body) for name, body in items.items())}
        for url, items in content.items()
    }
    assert decode(encode(ResourceSet(types))) == ResourceSet(types)
