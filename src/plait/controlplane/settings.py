"""Settings of the control process; each may also come from the environment as PLAIT_<NAME>."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from plait.errors import RefusedError
from plait.identity.certificates import LEAF_LIFE
from plait.resources.formats import duration_seconds

SHORTEST_LEAF: Final = 60.0
LONGEST_LEAF: Final = 7 * 86400.0


def default_state_directory() -> Path:
    """Where a mesh keeps its state unless told otherwise: a system directory for root, else the user's own."""
    if os.geteuid() == 0:
        return Path("/var/lib/plait")
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "plait"


def _leaf_life(value: Any) -> timedelta:
    seconds = value.total_seconds() if isinstance(value, timedelta) else duration_seconds(str(value))
    if seconds is None or not SHORTEST_LEAF <= seconds <= LONGEST_LEAF:
        raise RefusedError(
            f"PLAIT_LEAF_TTL: {value!r} is no life for a certificate", "give 1m to 168h, for example 24h"
        )
    return timedelta(seconds=seconds)


class ControlSettings(BaseSettings):
    """What `plait control` can be told."""

    model_config = SettingsConfigDict(env_prefix="PLAIT_", extra="ignore")

    state_dir: Path = Field(default_factory=default_state_directory, description="where the mesh keeps its state")
    listen: str | None = Field(
        default=None, description="address for API and ADS beside loopback, HOST or HOST:PORT (ADS on PORT + 1)"
    )
    trust_domain: str = Field(default="cluster.local", description="SPIFFE trust domain of a new mesh")
    ca_cert: Path | None = Field(default=None, description="certificate of an authority to sign the intermediate")
    ca_key: Path | None = Field(default=None, description="key of that authority")
    permissive: bool = Field(default=False, description="do not write the mesh-wide STRICT PeerAuthentication")
    allow_envoy_filter: bool = Field(default=False, description="store EnvoyFilter objects, which do not act")
    leaf_ttl: Annotated[timedelta, BeforeValidator(_leaf_life)] = Field(
        default=LEAF_LIFE, description="how long workloads' certificates live; they are renewed before half of it"
    )
    workers: int = Field(
        default=0, ge=0, le=64, description="processes that serve machines behind one port (0: control does it itself)"
    )
    store: str = Field(
        default="",
        description="etcd://HOST:PORT[,HOST:PORT...]: share this store with other controls (default: SQLite)",
    )
    store_ca: Path | None = Field(default=None, description="root certificates to verify etcd by")
    store_cert: Path | None = Field(default=None, description="certificate to show to etcd")
    store_key: Path | None = Field(default=None, description="key of that certificate")
    seal_key: Path | None = Field(
        default=None, description="key that seals secrets in a shared store (default: STATE/control/seal.key)"
    )
    rate_limit_store: str = Field(
        default="",
        repr=False,
        description="redis://HOST:PORT/DB to count global rate limits in (default: in memory)",
    )
    address_range: str | None = Field(
        default=None, description="10.N.0.0/16 that workload addresses of a new mesh come from"
    )
    envoy: str = Field(
        default="", description="Envoy that judges what `plait apply --dry-run` would send (default: the one installed)"
    )


def load(state_dir: Path, **flags: Any) -> ControlSettings:
    """The settings that these flags and the environment give; RefusedError names all that cannot be read."""
    try:
        return ControlSettings(state_dir=state_dir, **flags)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'PLAIT_' + str(item['loc'][0]).upper()}: {item['input']!r}: {item['msg']}" for item in error.errors()
        )
        raise RefusedError(wrong, "correct the flag or the variable; `plait control --help` names them") from None
