"""Settings of the control process; each may also come from the environment as PLAIT_<NAME>."""

import os
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


def default_state_directory() -> Path:
    """Where a mesh keeps its state unless told otherwise: a system directory for root, else the user's own."""
    if os.geteuid() == 0:
        return Path("/var/lib/plait")
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "plait"


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
    address_range: str | None = Field(
        default=None, description="10.N.0.0/16 that workload addresses of a new mesh come from"
    )
