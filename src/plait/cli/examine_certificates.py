"""Whether certificates live long enough: the authority's, control's own, this machine's and its workloads'.

Leaves are renewed before half of their life. One that has less than a quarter left was not renewed when it should have
been, which is worth knowing hours before calls fail. A certificate from the future means that a clock is wrong.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from plait.cli.context import Mesh
from plait.cli.findings import Finding, fine, problem

EXPIRY_WARNING: Final = timedelta(days=30)
_LATE: Final = 4
_NOT_RENEWED: Final = "see why: the node agent's messages; it needs to reach control (`plait status`)"


def certificates(mesh: Mesh) -> Iterator[Finding]:
    """Whether every certificate on this machine lives long enough."""
    for file in _files(mesh.state_dir / "control/ca", "*.crt"):
        yield _authority(file)
    control = list(_files(mesh.state_dir / "control", "server.pem"))
    running = [path.parent / "chain.pem" for path in _files(mesh.state_dir / "node/workloads", "*/workload.json")]
    machine = list(_files(mesh.state_dir / "node/identity", "chain.pem"))
    found = [finding for path in (*control, *machine, *running) if (finding := _leaf(path)) is not None]
    yield from found
    number = len(control) + len(machine) + len(running)
    if number and not found:
        yield fine("certificates", f"{number} short-lived certificates are renewed in time")


def _files(folder: Path, pattern: str) -> Iterator[Path]:
    try:
        yield from sorted(path for path in folder.glob(pattern) if not path.name.startswith("."))
    except OSError:
        return


def _authority(file: Path) -> Finding:
    """An authority's certificate: it is replaced by people, who want to know a month before."""
    from cryptography import x509

    try:
        end = x509.load_pem_x509_certificate(file.read_bytes()).not_valid_after_utc
    except (OSError, ValueError) as error:
        return problem(
            "certificates",
            f"{file} cannot be read: {error}",
            "restore it from a backup; without it no certificate can be signed",
        )
    left = end - datetime.now(UTC)
    until = f"{file.stem} certificate is valid until {end:%Y-%m-%d}"
    if left < timedelta(0):
        return problem(
            "certificates",
            f"the {file.stem} certificate has expired ({file})",
            "replace it: every call between services fails (`plait ca rotate`, for a root with `--root`)",
        )
    if left < EXPIRY_WARNING:
        return problem(
            "certificates",
            f"the {until}, {left.days} days from now ({file})",
            "replace it before that day: `plait ca rotate`, for a root with `--root`",
        )
    return fine("certificates", f"the {until}")


def _leaf(file: Path) -> Finding | None:
    """What is wrong with a certificate that is renewed by itself; None if nothing is."""
    from cryptography import x509

    try:
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        return problem(
            "certificates",
            f"{file} cannot be read: {error}",
            "restart the process that it belongs to: it gets a new one",
        )
    begin, end, now = certificate.not_valid_before_utc, certificate.not_valid_after_utc, datetime.now(UTC)
    if now < begin:
        return problem(
            "clock",
            f"{file} is valid only from {begin:%Y-%m-%d %H:%M} UTC on",
            "this machine's clock is behind control's: set it, and keep it set (NTP)",
        )
    if now >= end:
        return problem(
            "certificates", f"{file} expired on {end:%Y-%m-%d %H:%M} UTC", f"its calls are refused; {_NOT_RENEWED}"
        )
    if (end - now) * _LATE < end - begin:
        hours = (end - now).total_seconds() / 3600
        return problem("certificates", f"{file} ends in {hours:.1f} h and is not renewed", _NOT_RENEWED)
    return None
