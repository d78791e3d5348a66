"""The certificates of this machine's workloads: keys made here, signed by control, renewed, handed to Envoys.

Key and chain are kept 0600 in the workload's folder, so that a workload starts again while control is away. When one
is due is decided in `renewal`; a renewal that fails is tried again, and the old certificate serves meanwhile.
Envoys get them through the relay as SDS secrets, so a renewal restarts nothing. A new key is made with each renewal.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from envoy.extensions.transport_sockets.tls.v3 import secret_pb2

from plait.envoy import names
from plait.envoy.resource_set import Entry, entry_of
from plait.errors import DeadlineError, PlaitError, RefusedError, UnreachableError
from plait.identity import spiffe
from plait.identity.private_files import write_private
from plait.identity.svid import Svid, new_key, renewal_time, signing_request, svid
from plait.model.ids import ObjectName
from plait.node.renewal import RenewalTimes, again_after
from plait.node.state import WorkloadDirectory
from plait.node.surroundings import Control

log = logging.getLogger(__name__)

_LEAST_LEFT: Final = 60.0
_SYSTEM_AUTHORITIES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
"""Where distributions keep the certificate authorities that they trust."""


def secrets(identity: Svid, bundle: bytes) -> dict[str, Entry]:
    """The SDS secrets of a proxy: its own certificate with key, whom it trusts, and whom the machine's system does."""
    own = secret_pb2.Secret(name=names.IDENTITY_SECRET)
    own.tls_certificate.certificate_chain.inline_bytes = identity.chain
    own.tls_certificate.private_key.inline_bytes = identity.key
    trust = secret_pb2.Secret(name=names.BUNDLE_SECRET)
    trust.validation_context.trusted_ca.inline_bytes = bundle
    found = [own, trust]
    system = next((path for path in _SYSTEM_AUTHORITIES if Path(path).is_file()), "")
    if system:
        found.append(secret_pb2.Secret(name=names.SYSTEM_SECRET))
        found[-1].validation_context.trusted_ca.filename = system
    return {item.name: entry_of(item.name, item) for item in found}


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Whose certificate it is: a service account, and where key and chain are kept."""

    namespace: str
    service_account: str
    directory: WorkloadDirectory

    @classmethod
    def of(cls, name: ObjectName, service_account: str, directory: WorkloadDirectory) -> "Account":
        """The account of a workload."""
        return cls(namespace=name.namespace, service_account=service_account, directory=directory)


class Certificates:
    """Obtains and renews certificates. `times` tells when; `chance` is given by tests."""

    def __init__(
        self,
        control: Control,
        trust_domain: str,
        *,
        times: RenewalTimes | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._control = control
        self._trust_domain = trust_domain
        self.times = times or RenewalTimes()
        self._now = self.times.now
        self._chance = chance

    async def obtain(self, account: Account) -> Svid:
        """A certificate for a workload that starts: the kept one while it is young and of the root that signs.

        While control is away, a kept one serves as long as it is valid and trusted at all.
        """
        kept = self._kept(account)
        if kept is not None and self.times.of_present_root(kept) and self._now() < _young_until(kept):
            return kept
        try:
            return await self.renew(account)
        except (UnreachableError, DeadlineError):
            if kept is not None and (kept.not_after - self._now()).total_seconds() > _LEAST_LEFT:
                return kept
            raise

    async def renew(self, account: Account) -> Svid:
        """A new key and its certificate, kept on disk."""
        key = await asyncio.to_thread(new_key)
        chain = await self._control.sign(signing_request(key), account.namespace, account.service_account)
        fresh = svid(chain, key)
        if fresh.spiffe_id != self._id(account):
            raise RefusedError(f"control signed {fresh.spiffe_id}, not {self._id(account)}", "restart the node agent")
        await asyncio.to_thread(_keep, account.directory, fresh)
        return fresh

    async def renewals(self, account: Account, current: Svid, use: Callable[[Svid], None]) -> None:
        """Renew for ever, giving each new certificate to `use`."""
        failures = 0
        while True:
            if not failures:
                await self.times.wait(current, self._chance())
            try:
                current = await self.renew(account)
            except PlaitError as error:
                left = (current.not_after - self._now()).total_seconds() / 3600
                log.warning("%s cannot be renewed yet (%.1f h left): %s", current.spiffe_id, left, error.problem)
                failures += 1
                await asyncio.sleep(again_after(failures, self._chance()))
                continue
            failures = 0
            use(current)

    def _id(self, account: Account) -> str:
        return spiffe.workload_id(self._trust_domain, account.namespace, account.service_account)

    def _kept(self, account: Account) -> Svid | None:
        try:
            found = svid(account.directory.chain.read_bytes(), account.directory.key.read_bytes())
        except (OSError, RefusedError):
            return None
        valid = found.spiffe_id == self._id(account) and found.not_before <= self._now() < found.not_after
        return found if valid and self.times.trusted(found) else None


def _young_until(kept: Svid) -> datetime:
    return renewal_time(kept.not_before, kept.not_after, chance=0.0)


def _keep(directory: WorkloadDirectory, fresh: Svid) -> None:
    write_private(directory.key, fresh.key)
    write_private(directory.chain, fresh.chain)
