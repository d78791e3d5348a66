"""The certificate of control's own servers: issued at start, renewed at half life, in use from the next handshake."""

import asyncio
import os
import random
from collections.abc import Sequence
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

from plait.identity.authority import CertificateAuthority
from plait.identity.svid import Svid, renewal_time


class ServerCertificates:
    """Keeps the servers' certificate current. `files` are its chain and key for servers that read files."""

    def __init__(self, authority: CertificateAuthority, directory: Path) -> None:
        self._authority = authority
        self._names: list[str] = ["localhost"]
        self._addresses: list[str] = ["127.0.0.1", "::1"]
        self.files = (directory / "server.pem", directory / "server.key")
        self.current: Svid

    def issue(self, hosts: Sequence[str]) -> None:
        """Issue a certificate that is valid for these hosts (names or addresses) beside loopback."""
        for host in hosts:
            try:
                self._addresses.append(str(ip_address(host)))
            except ValueError:
                self._names.append(host)
        self.renew()

    async def renew_forever(self) -> None:
        """Renew at half life, for ever."""
        while True:
            due = renewal_time(self.current.not_before, self.current.not_after, chance=random.random())  # noqa: S311
            await asyncio.sleep(max(1.0, (due - datetime.now(UTC)).total_seconds()))
            self.renew()

    def renew(self) -> None:
        """Issue a new certificate now, by the signer that is in force."""
        self.current = self._authority.server_credentials(self._names, self._addresses)
        for path, content in zip(self.files, (self.current.chain, self.current.key), strict=True):
            temporary = path.with_suffix(".new")
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(content)
            temporary.replace(path)
