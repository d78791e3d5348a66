"""Real databases of Debian's packages, made ready in a new folder: how to start one, and how its own client asks it."""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Database:
    """The command of a server for (address, port), its user, and the command that asks it one question there."""

    name: str
    server: Callable[[str, int], Sequence[str]]
    question: Callable[[str, int], Sequence[str]]
    answer: str
    user: str = ""

    def asked(self, host: str, port: int) -> float:
        """Asks it there; gives the seconds that took."""
        start = time.monotonic()
        done = subprocess.run(self.question(host, port), capture_output=True, text=True, timeout=20, check=False)
        assert self.answer in done.stdout, done.stderr
        return time.monotonic() - start


Prepared = Callable[[], contextlib.AbstractContextManager[Database]]


def program(name: str, *places: str) -> str:
    """Where a program is; the test is left out where it is not."""
    found = shutil.which(name, path=os.pathsep.join((*places, os.environ.get("PATH", ""), "/usr/sbin")))
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@contextlib.contextmanager
def _folder(owner: str) -> Generator[Path]:
    """A new folder of that user, if this one may give it away; else of this one."""
    folder = Path(tempfile.mkdtemp(prefix="plait-database-"))
    try:
        if owner:
            shutil.chown(folder, owner)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _user(name: str) -> str:
    """The user that a server runs as: its package's while root asks, as most refuse to be root."""
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(name).pw_name if os.geteuid() == 0 else ""
    return ""


@contextlib.contextmanager
def postgresql() -> Generator[Database]:
    """A PostgreSQL with a new data directory."""
    versions = sorted(str(path) for path in Path("/usr/lib/postgresql").glob("*/bin"))
    server, init, client = (program(name, *versions) for name in ("postgres", "initdb", "psql"))
    user = _user("postgres")
    with _folder(user) as folder:
        data = str(folder / "data")
        made = [init, "-D", data, "-A", "trust", "-U", "postgres", "--no-sync"]
        subprocess.run(made, check=True, capture_output=True, user=user or None, cwd="/")
        with (folder / "data" / "pg_hba.conf").open("a") as access:
            access.write("host all all all trust\n")
        yield Database(
            name="postgresql",
            server=lambda at, port: (
                *(server, "-D", data, "-p", str(port), "-h", at, "-k", str(folder)),
                *("-c", "fsync=off", "-c", "shared_buffers=16MB"),
            ),
            question=lambda host, port: (client, "-h", host, "-p", str(port), "-U", "postgres", "-Atc", "select 6*7"),
            answer="42",
            user=user,
        )


@contextlib.contextmanager
def mariadb() -> Generator[Database]:
    """A MariaDB with a new data directory, and a user who may ask from everywhere; its server speaks first."""
    server, init, client = (program(name) for name in ("mariadbd", "mariadb-install-db", "mariadb"))
    user = _user("mysql")
    with _folder(user) as folder:
        data, start = str(folder / "data"), folder / "start.sql"
        made = [init, "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal"]
        made += ["--skip-test-db", *([f"--user={user}"] if user else [])]
        subprocess.run(made, check=True, capture_output=True, cwd="/")
        start.write_text("CREATE USER plait@'%';\n")
        start.chmod(0o644)
        yield Database(
            name="mariadb",
            server=lambda at, port: (
                *(server, "--no-defaults", f"--datadir={data}", f"--port={port}", f"--bind-address={at}"),
                *(f"--socket={folder}/socket", f"--pid-file={folder}/pid", f"--init-file={start}"),
                *("--innodb-buffer-pool-size=8M", "--innodb-flush-log-at-trx-commit=0"),
            ),
            question=lambda host, port: (
                *(client, "--no-defaults", "-h", host, "-P", str(port), "-u", "plait", "--protocol=tcp"),
                *("-N", "-e", "select 6*7"),
            ),
            answer="42",
            user=user,
        )


@contextlib.contextmanager
def redis() -> Generator[Database]:
    """A Redis without any file."""
    server, client = program("redis-server"), program("redis-cli")
    yield Database(
        name="redis",
        server=lambda at, port: (
            *(server, "--port", str(port), "--bind", at, "--save", "", "--appendonly", "no"),
            *("--protected-mode", "no", "--daemonize", "no"),
        ),
        question=lambda host, port: (client, "-h", host, "-p", str(port), "ping"),
        answer="PONG",
    )


ALL: tuple[Prepared, ...] = (postgresql, mariadb, redis)
