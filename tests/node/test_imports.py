"""What the agent's parts load: the app's start must not wait for it, and it must not cost memory beside every app."""

import subprocess
import sys

import pytest

OUTSIDE = "{name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names)"


def loaded(module: str) -> set[str]:
    code = f"import sys; before = {OUTSIDE}; import {module}; print(*({OUTSIDE} - before))"
    return set(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split())


@pytest.mark.parametrize("module", ["plait.node.launcher", "plait.node.client"])
def test_launcher_and_client_load_the_standard_library_alone(module: str) -> None:
    """There is a launcher for every app, and a client for every command."""
    assert loaded(module) == {"plait"}


def test_launcher_does_without_asyncio() -> None:
    """A launcher holds as little memory as it can."""
    code = "import sys, plait.node.launcher; print('asyncio' in sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "False\n"


def test_agent_starts_without_pydantic_and_fastapi() -> None:
    """Their import costs more than everything else of the agent's start."""
    assert not loaded("plait.node.run") & {"pydantic", "fastapi", "httpx", "starlette", "uvicorn"}
