"""The Debian packages of programs that the bench drives, told by a file that each brings."""

import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Final

LOAD: Final = {
    "/usr/bin/h2load": "nghttp2-client",
    "/usr/sbin/nginx": "nginx-light",
    "/usr/bin/taskset": "util-linux",
}
"""Without these nothing is measured."""
HAPROXY: Final = {"/usr/sbin/haproxy": "haproxy"}
NGINX: Final = {"/usr/sbin/nginx": "nginx-light", "/usr/lib/nginx/modules/ngx_stream_module.so": "libnginx-mod-stream"}
WITHIN: Final = 300
"""Seconds that an installation may take."""


def missing(files: Iterable[dict[str, str]]) -> list[str]:
    """The packages whose file is not there."""
    return sorted({package for each in files for file, package in each.items() if not Path(file).exists()})


def install(packages: list[str]) -> None:
    """Install them where that is allowed; what still lacks afterwards is found by `missing`."""
    if not packages or os.geteuid() or shutil.which("apt-get") is None:
        return
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages]
    for step in (["apt-get", "update", "-q"], command):
        subprocess.run(step, env=quiet, capture_output=True, timeout=WITHIN, check=False)
