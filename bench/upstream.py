"""The app that is called: nginx, which answers every request with 1 KB, and takes traces with the same words."""

import shutil
from pathlib import Path

from plait.errors import RefusedError

PORT = 8080
BODY = "x" * 1024
TOOLS = {"wrk": "wrk", "nginx": "nginx-light", "ip": "iproute2", "nft": "nftables", "taskset": "util-linux"}


def check_tools() -> None:
    """Refuse if a program that the bench drives is missing."""
    missing = sorted(package for command, package in TOOLS.items() if not _found(command))
    if missing:
        raise RefusedError(f"the bench needs {', '.join(missing)}", f"apt-get install {' '.join(missing)}")


def _found(command: str) -> bool:
    return shutil.which(command, path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin") is not None


def command(folder: Path, listen: str = str(PORT)) -> list[str]:
    """How it is started, on the core of the load; its configuration is written into that folder."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "nginx.conf"
    file.write_text(configuration(folder, listen))
    return ["taskset", "-c", "0", "nginx", "-e", str(folder / "nginx.log"), "-c", str(file)]


def configuration(folder: Path, listen: str) -> str:
    """One worker, no log, connections that stay."""
    return (
        f"user root;\ndaemon off;\nmaster_process off;\npid {folder}/nginx.pid;\n"
        "events { worker_connections 1024; }\n"
        "http {\n  access_log off;\n  keepalive_requests 1000000000;\n  keepalive_timeout 600s;\n"
        f"  server {{\n    listen {listen};\n"
        f'    location / {{ default_type text/plain; return 200 "{BODY}"; }}\n  }}\n}}\n'
    )
