"""A mesh of Plait's own for the bench: started, used by its command line as anybody would, and ended."""

import json
import os
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
PLAIT = (sys.executable, "-m", "plait.cli")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mesh:
    """A running mesh and where it keeps its state."""

    state: Path

    @property
    def environment(self) -> dict[str, str]:
        """The environment that makes a command talk to this mesh."""
        path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
        found = {**os.environ, "PATH": path, "PLAIT_STATE_DIR": str(self.state), "DATA": str(self.state / "shop")}
        found.pop("PLAIT_SERVER", None)
        return found

    def plait(self, *words: str, folder: Path = REPOSITORY, text: str = "", within: float = 90) -> str:
        """Run a command of Plait and return what it printed; one that fails ends the bench with what it said."""
        done = subprocess.run(
            [*PLAIT, *words],
            env=self.environment,
            cwd=folder,
            input=text,
            capture_output=True,
            text=True,
            timeout=within,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"plait {' '.join(words[:3])}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def apply(self, documents: Sequence[dict[str, Any]]) -> None:
        """Apply documents."""
        self.plait("apply", "-f", "-", text="\n---\n".join(json.dumps(document) for document in documents))

    def workload(self, name: str) -> dict[str, Any]:
        """What the mesh says of a workload."""
        rows: list[dict[str, Any]] = json.loads(self.plait("get", "workloads", "-o", "json"))
        return next(row for row in rows if row["name"] == name)

    def pid(self, process: str) -> int:
        """The process number of `control` or `node`."""
        return int((self.state / "run" / f"{process}.pid").read_text())


@contextmanager
def mesh(state: Path) -> Generator[Mesh]:
    """A mesh, while it is needed."""
    running = Mesh(state=state)
    running.plait("up", "--detach")
    try:
        yield running
    finally:
        running.plait("down")
