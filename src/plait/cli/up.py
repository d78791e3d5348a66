"""`plait up`: a whole mesh on this machine, kept running by a small supervisor.

In the foreground the supervisor is this process. With `--detach` it is the same command in a session of its own, with
its messages in STATE/run/up.log; through a pipe it tells this process what to print once the mesh is ready. A lock on
STATE/run/up.lock says that a supervisor lives, whatever became of its files.
"""

import argparse
import fcntl
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any

from plait.cli import arguments, context, pids, quick_status
from plait.cli.errors import UsageError
from plait.cli.fields import part, texts
from plait.cli.output import note, say
from plait.cli.supervisor import Part, Supervisor
from plait.errors import DeadlineError, ForbiddenError, PlaitError, RefusedError

READY_WITHIN = 60.0
MOST_WORKERS = 64
KEEP_WORKLOADS = signal.SIGUSR2
"""The signal that ends the mesh's processes only: the workloads run on until the next `plait up` adopts them."""


_PASSED = (
    "listen",
    "trust_domain",
    "ca_cert",
    "ca_key",
    "workers",
    "store",
    "store_ca",
    "store_cert",
    "store_key",
    "seal_key",
)
"""Options that `plait up` passes on to control."""


def build_parser() -> arguments.Parser:
    """The parser of `plait up`."""
    parser = arguments.parser("up", "Start a mesh on this machine: control plane and node agent.")
    parser.add_argument("--detach", action="store_true", help="come back once the mesh is ready and leave it running")
    parser.add_argument("--ready-fd", type=int, help=argparse.SUPPRESS)
    add_control_options(parser)
    return parser


def add_control_options(target: argparse.ArgumentParser) -> None:
    """Add what `plait up` and `plait control` have in common."""
    target.add_argument("--listen", metavar="ADDR", help="open API and ADS to other machines on this address")
    target.add_argument("--trust-domain", metavar="T", help="the mesh's trust domain (default: cluster.local)")
    target.add_argument("--ca-cert", metavar="F", type=Path, help="certificate of your own authority (with --ca-key)")
    target.add_argument("--ca-key", metavar="F", type=Path, help="key of your own authority")
    target.add_argument(
        "--workers", metavar="N", type=_workers, help="processes that serve machines, to use more cores (default: 0)"
    )
    target.add_argument("--store", metavar="URL", help="etcd://HOST:PORT[,...]: a store that other controls share")
    target.add_argument("--store-ca", metavar="F", type=Path, help="root certificates to verify etcd by")
    target.add_argument("--store-cert", metavar="F", type=Path, help="certificate to show to etcd (with --store-key)")
    target.add_argument("--store-key", metavar="F", type=Path, help="key of that certificate")
    target.add_argument("--seal-key", metavar="F", type=Path, help="key that seals secrets in a shared store")
    target.add_argument(
        "--permissive", action="store_true", help="make a new mesh accept plaintext calls beside mutual TLS"
    )
    target.add_argument(
        "--allow-envoy-filter",
        action="store_true",
        help="store EnvoyFilter objects, which do not act, instead of refusing",
    )


def _workers(text: str) -> int:
    if not text.isdecimal() or int(text) > MOST_WORKERS:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 to {MOST_WORKERS}")
    return int(text)


def check_authority(options: argparse.Namespace) -> None:
    """An authority of the user's own is a certificate and its key."""
    if bool(options.ca_cert) != bool(options.ca_key):
        raise UsageError("--ca-cert and --ca-key belong together", "give both, or none for an authority of its own")


def main(words: Sequence[str]) -> int:
    """Run `plait up`."""
    options = build_parser().parse_args(list(words))
    check_authority(options)
    mesh = context.current()
    prepare(mesh.state_dir)
    if options.detach:
        return _detached(mesh, [word for word in words if word != "--detach"])
    with _only_one(mesh), pids.registered(mesh.run_dir / "up.pid"):
        return _foreground(mesh, options)


def prepare(state_dir: Path) -> None:
    """Make the state directory, or say why it cannot be used."""
    try:
        (state_dir / "run").mkdir(parents=True, exist_ok=True)
    except PermissionError:
        remedy = "choose a directory of your own with --state-dir"
        raise ForbiddenError(f"you may not write to {state_dir}", remedy) from None
    except (FileExistsError, NotADirectoryError):
        raise RefusedError(f"{state_dir} is not a directory", "choose another one with --state-dir") from None
    except OSError as error:
        problem = f"{state_dir} cannot be made: {error.strerror}"
        raise RefusedError(problem, "choose another one with --state-dir") from None
    if not os.access(state_dir / "run", os.W_OK):
        raise ForbiddenError(f"{state_dir} belongs to another user", "choose a directory of your own with --state-dir")


def _only_one(mesh: context.Mesh) -> IO[str]:
    """Hold the lock that says a supervisor lives here."""
    lock = (mesh.run_dir / "up.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        who = pids.read(mesh.run_dir / "up.pid")
        problem = f"a mesh already runs with its state in {mesh.state_dir}" + (f" (process {who})" if who else "")
        raise RefusedError(problem, "see `plait status`; end it with `plait down`") from None
    return lock


def _foreground(mesh: context.Mesh, options: argparse.Namespace) -> int:
    _end_leftovers(mesh)
    # By this folder the node agent, started at the same time, knows that control will be beside it.
    (mesh.state_dir / "control").mkdir(mode=0o700, exist_ok=True)
    supervisor = Supervisor(
        parts(mesh, options),
        ready=partial(_is_ready, mesh, time.monotonic() + READY_WITHIN),
        on_ready=partial(_announce, mesh, options.ready_fd),
        before_stop=partial(_stop_workloads, mesh),
    )
    ending = supervisor.run()
    if ending.signal:
        if ending.signal != KEEP_WORKLOADS:
            _clean(mesh)
        say("Plait is down.")
    return ending.code


def _is_ready(mesh: context.Mesh, until: float) -> bool:
    if time.monotonic() > until:
        raise DeadlineError(f"the mesh was not ready within {READY_WITHIN:.0f} s", "see the messages above")
    return quick_status.is_ready(quick_status.fetch(mesh.run_dir / "api.sock"))


def _announce(mesh: context.Mesh, ready_fd: int | None) -> None:
    text = banner(mesh, quick_status.fetch(mesh.run_dir / "api.sock") or {})
    say(text)
    if ready_fd is not None:
        os.write(ready_fd, text.encode())
        os.close(ready_fd)


def parts(mesh: context.Mesh, options: argparse.Namespace) -> tuple[Part, ...]:
    """The processes of a mesh, in the order of their dependence."""
    flags = list[str]()
    for name in _PASSED:
        if (value := getattr(options, name)) is not None:
            flags += [f"--{name.replace('_', '-')}", str(value.absolute() if isinstance(value, Path) else value)]
    flags += [f"--{name.replace('_', '-')}" for name in ("permissive", "allow_envoy_filter") if getattr(options, name)]
    environment = {**mesh.environment, "PLAIT_STATE_DIR": str(mesh.state_dir)}
    environment.pop("PLAIT_SERVER", None)
    plait = [sys.executable, "-m", "plait.cli"]
    return (
        Part(name="control", command=[*plait, "control", *flags], environment=environment),
        Part(name="node", command=[*plait, "node"], environment=environment),
    )


def _end_leftovers(mesh: context.Mesh) -> None:
    """End parts that a killed supervisor left running: this one starts its own."""
    for name in ("node", "control"):
        if pid := pids.alive(mesh.run_dir / f"{name}.pid"):
            note(f"ending a {name} that an earlier supervisor left running (process {pid})")
            pids.terminate(pid, patience=15)


def _stop_workloads(mesh: context.Mesh, number: int) -> None:
    from plait.node import client

    if number == KEEP_WORKLOADS:
        return
    try:
        client.stop(mesh.node_socket, names=(), namespace=None)
    except PlaitError as error:
        note(f"workloads could not be ended: {error.problem}")


def _clean(mesh: context.Mesh) -> None:
    """Remove the machine's part of the mesh: its bridge and its rules."""
    from plait.cli import leftovers

    for finding in leftovers.examine(mesh, running=False, clean=True):
        if finding.state == "problem":
            note(finding.detail)


def _detached(mesh: context.Mesh, words: Sequence[str]) -> int:
    with _only_one(mesh):
        pass
    log = mesh.run_dir / "up.log"
    reader, writer = os.pipe()
    command = [sys.executable, "-m", "plait.cli", "--state-dir", str(mesh.state_dir), "up", *words]
    with log.open("wb") as messages:
        process = subprocess.Popen(
            [*command, "--ready-fd", str(writer)],
            stdin=subprocess.DEVNULL,
            stdout=messages,
            stderr=messages,
            start_new_session=True,
            pass_fds=[writer],
        )
    os.close(writer)
    return _await_ready(process, reader, log)


def _await_ready(process: "subprocess.Popen[bytes]", reader: int, log: Path) -> int:
    readable, _, _ = select.select([reader], [], [], READY_WITHIN + 5)
    text = os.read(reader, 65536).decode() if readable else ""
    if text:
        say(text)
        return 0
    process.terminate()
    code = process.wait()
    sys.stderr.write(log.read_text(errors="replace"))
    return code if code > 0 else DeadlineError.exit_code


def banner(mesh: context.Mesh, status: Mapping[str, Any]) -> str:
    """What is printed once the mesh is ready: where it is, and what to try next."""
    api = part(status, "api")
    capture = part(status, "capture")
    lines = [f"Plait is up. State: {mesh.state_dir}", f"  API      {api.get('socket') or mesh.run_dir / 'api.sock'}"]
    if api.get("url"):
        lines.append(f"  address  {api['url']}")
    if api.get("kubeconfig"):
        lines.append(f"  kubectl  KUBECONFIG={api['kubeconfig']} kubectl get services")
    if capture.get("mode"):
        lines.append(f"  capture  {capture['mode']}")
    lines += [f"           {limit}" for limit in texts(capture, "limits")]
    return "\n".join([*lines, "Try next:", *(f"  {command}" for command in NEXT)])


NEXT = (
    "plait run --name hello --service hello:80 --port 8000 --detach -- python3 -m http.server 8000",
    "plait run --name caller -- curl -s http://hello/",
    "plait status",
    "plait get workloads",
    "plait down",
)
