"""Fixtures of the tests of the API: the application in this process, and a real server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from plait.api.app import create_app
from tests.api.calling import Api
from tests.api.serving import Serving, backend, serving


@pytest.fixture
def api() -> Api:
    """The application of an empty mesh, called as the tester."""
    return Api(create_app(backend()))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Serving]:
    """A real server of an empty mesh."""
    with serving(tmp_path, backend()) as running:
        yield running
