"""A mesh for tests of the documentation: a state directory, a folder to work in, and the commands of plait there."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tests.docs.pages import ROOT

PLAIT = str(ROOT / ".venv" / "bin" / "plait")


class Mesh:
    """A state directory, a folder to work in, and the commands of plait there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "mesh"
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("PLAIT_")}
        self.environment["PLAIT_STATE_DIR"] = str(self.state)

    def plait(self, *words: str, errors: bool = True, **variables: str) -> tuple[int, str]:
        """The exit code of a command and all it printed; without `errors` only standard output."""
        done = subprocess.run(
            [PLAIT, *words],
            cwd=self.folder,
            env={**self.environment, **variables},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        return done.returncode, done.stdout + (done.stderr if errors else "")

    def read(self, *words: str) -> Any:
        """The JSON answer of a command."""
        code, printed = self.plait(*words, "-o", "json", errors=False)
        assert code == 0, printed
        return json.loads(printed)
