"""The mesh's certificate authority: a root, an intermediate that signs, and leaves that live a day.

The root's key is used only to make intermediates. The intermediate is replaced at half its life; peers trust the
root alone, so nothing else changes then. Where and how they are kept: `authority_files`.
"""

import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from plait.errors import RefusedError
from plait.identity import authority_files, spiffe
from plait.identity.certificates import LEAF_LIFE, Signer, leaf, new_intermediate, pem, utc_now, verified_request
from plait.identity.private_files import private_directory
from plait.identity.svid import Svid, new_key, signing_request, spiffe_id_of, svid


class CertificateAuthority:
    """Signs the certificates of workloads, machines and the control plane. May be used from any thread."""

    def __init__(self, *, directory: Path, trust_domain: str, root: x509.Certificate, signer: Signer) -> None:
        self.trust_domain = trust_domain
        self._directory = directory
        self._root = root
        self._signer = signer
        self._lock = threading.Lock()

    @property
    def bundle(self) -> bytes:
        """The trust bundle: the roots that peers verify against, PEM."""
        return pem(self._root)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the root certificate, in hexadecimal: what a join token carries."""
        return self._root.fingerprint(hashes.SHA256()).hex()

    def sign(self, request: bytes, identity: str, *, ttl: timedelta = LEAF_LIFE, now: datetime | None = None) -> bytes:
        """The chain (PEM, leaf first) for a signing request (PEM), naming that SPIFFE ID and nothing else."""
        if not identity.startswith(f"spiffe://{self.trust_domain}/"):
            raise RefusedError(f"{identity} is not of trust domain {self.trust_domain}", "ask its own authority")
        return self._issue(request, [x509.UniformResourceIdentifier(identity)], ttl=ttl, now=now or utc_now())

    def server_credentials(
        self,
        names: Sequence[str] = (),
        addresses: Sequence[str] = (),
        *,
        ttl: timedelta = LEAF_LIFE,
        now: datetime | None = None,
    ) -> Svid:
        """A new key and certificate for control's own servers: its identity, and these DNS names and addresses."""
        key = new_key()
        alternatives: list[x509.GeneralName] = [
            x509.UniformResourceIdentifier(spiffe.control_id(self.trust_domain)),
            *(x509.DNSName(name) for name in dict.fromkeys([spiffe.CONTROL_SERVER_NAME, *names])),
            *(x509.IPAddress(ip_address(address)) for address in dict.fromkeys(addresses)),
        ]
        return svid(self._issue(signing_request(key), alternatives, ttl=ttl, now=now or utc_now()), key)

    def _issue(
        self, request: bytes, alternatives: Sequence[x509.GeneralName], *, ttl: timedelta, now: datetime
    ) -> bytes:
        signer = self._current_signer(now)
        return pem(leaf(signer, verified_request(request), alternatives, now=now, ttl=ttl)) + signer.chain

    def _current_signer(self, now: datetime) -> Signer:
        """The signer; past half its life it is replaced first, if the root's key is ours."""
        with self._lock:
            begin, end = self._signer.certificate.not_valid_before_utc, self._signer.ends
            if now > begin + (end - begin) / 2:
                root = authority_files.load_root_signer(self._directory, self._root)
                if root is not None:
                    self._signer = new_intermediate(root, self.trust_domain, now)
                    authority_files.save_signer(self._directory, self._signer)
            if now >= self._signer.ends:
                raise RefusedError(
                    f"the signing certificate ended on {self._signer.ends:%Y-%m-%d}",
                    "start control with --ca-cert and --ca-key of the renewed authority",
                )
            return self._signer


def open_authority(
    directory: Path,
    trust_domain: str,
    *,
    given: tuple[Path, Path] | None = None,
    now: datetime | None = None,
) -> CertificateAuthority:
    """The authority kept in that directory, made on first use; `given` are certificate and key of the user's own.

    A given authority with the same root as the one kept replaces its signer; with another root it is refused.
    """
    spiffe.trust_domain(trust_domain)
    private_directory(directory)
    moment = now or utc_now()
    if given is not None:
        _check_same_root(directory, given[0])
        authority_files.adopt(directory, trust_domain, *given, now=moment)
    elif not authority_files.established(directory):
        authority_files.establish(directory, trust_domain, moment)
    root, signer = authority_files.load(directory)
    _check_trust_domain(directory, signer.certificate, trust_domain)
    return CertificateAuthority(directory=directory, trust_domain=trust_domain, root=root, signer=signer)


def _check_same_root(directory: Path, certificate_file: Path) -> None:
    if authority_files.established(directory):
        kept = authority_files.load(directory)[0]
        if authority_files.read_chain(certificate_file)[-1] != kept:
            raise RefusedError(
                f"{directory} holds an authority with another root than {certificate_file}",
                "leave out --ca-cert to keep it, or use another state directory",
            )


def _check_trust_domain(directory: Path, certificate: x509.Certificate, trust_domain: str) -> None:
    kept = spiffe_id_of(certificate).removeprefix("spiffe://")
    if kept and kept != trust_domain:
        raise RefusedError(
            f"{directory} holds the authority of trust domain {kept}, not of {trust_domain}",
            f"give --trust-domain {kept}, or use another state directory",
        )
