"""An etcd of a test's own."""

import contextlib
import subprocess
from collections.abc import Generator
from pathlib import Path

import httpx

from tests.integration.machines import free_port, until


@contextlib.contextmanager
def etcd(folder: Path, port: int = 0) -> Generator[str]:
    """One member that keeps its data in the folder; the value is its address, HOST:PORT."""
    port = port or free_port()
    url = f"http://127.0.0.1:{port}"
    peers = f"http://127.0.0.1:{free_port()}"
    folder.mkdir(exist_ok=True)
    command = ["etcd", "--data-dir", str(folder / "data"), "--listen-client-urls", url]
    command += ["--advertise-client-urls", url, "--listen-peer-urls", peers]
    command += ["--initial-advertise-peer-urls", peers, "--initial-cluster", f"default={peers}"]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    try:
        until(lambda: _serves(url), what=(folder / "log").read_text()[-2000:])
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def _serves(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=1).json()["health"] == "true"
    except (httpx.HTTPError, ValueError, KeyError):
        return False
