"""Finds kubectl for the tests: Debian's 1.20 and whatever else this machine has.

Debian's package is unpacked into `build/` (never installed), since its file is in the way of newer ones.
"""

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

_UNPACKED = Path(__file__).parents[2] / "build" / "kubernetes-client"
_DEBIAN = _UNPACKED / "usr" / "bin" / "kubectl"

_GIVEN = os.environ.get("PLAIT_TEST_KUBECTL")
WANTED = ("debian", "path", *(("given",) if _GIVEN else ()))
"""Names of the kubectls to test with: Debian's, the one on the PATH, the one of PLAIT_TEST_KUBECTL."""


@cache
def kubectls() -> dict[str, Path]:
    """The kubectls that there are, by those names."""
    found = {"debian": _debian(), "path": _on_path(), "given": Path(_GIVEN) if _GIVEN else None}
    return {name: path for name, path in found.items() if path is not None}


def _on_path() -> Path | None:
    path = shutil.which("kubectl")
    return Path(path) if path else None


def _debian() -> Path | None:
    if not _DEBIAN.exists() and shutil.which("apt-get") and shutil.which("dpkg"):
        _UNPACKED.mkdir(parents=True, exist_ok=True)
        _run("apt-get", "download", "-qq", "kubernetes-client")
        if not list(_UNPACKED.glob("*.deb")) and os.geteuid() == 0:
            _run("apt-get", "update", "-qq")
            _run("apt-get", "download", "-qq", "kubernetes-client")
        for package in _UNPACKED.glob("*.deb"):
            _run("dpkg", "-x", str(package), str(_UNPACKED))
            package.unlink()
    return _DEBIAN if _DEBIAN.exists() else None


def _run(*command: str) -> None:
    subprocess.run(command, cwd=_UNPACKED, check=False, capture_output=True, timeout=60)
