"""The mesh's certificate authority: a root, an intermediate that signs, and leaves that live a day.

The root's key is used only to make intermediates and may be kept elsewhere. The intermediate is replaced at half its
life, or when told to; peers trust the root alone, so nothing else changes then. Replacing the root goes in stages, see
`rotation`. Where and how all is kept: `authority_files`.

While roots change, control's own servers show a certificate of the root that is to go, until it goes: everybody trusts
it, the machines that have not heard of the new one and the bearers of older join tokens too.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509

from plait.errors import RefusedError
from plait.identity import authority_files, rotation, spiffe
from plait.identity.certificates import (
    LEAF_LIFE,
    Signer,
    leaf,
    new_intermediate,
    new_root,
    pem,
    utc_now,
    verified_request,
)
from plait.identity.given_authority import GivenAuthority
from plait.identity.private_files import private_directory
from plait.identity.rotation import AuthorityState, Line, Stage
from plait.identity.svid import Svid, new_key, signing_request, spiffe_id_of, svid
from plait.identity.trust import fingerprint

log = logging.getLogger(__name__)


class CertificateAuthority:
    """Signs the certificates of workloads, machines and the control plane. May be used from any thread.

    `changed` are called after the roots or the signer changed.
    """

    def __init__(self, *, directory: Path, trust_domain: str, state: AuthorityState) -> None:
        self.trust_domain = trust_domain
        self.changed: list[Callable[[], None]] = []
        self._directory = directory
        self._state = state
        self._lock = threading.RLock()

    @property
    def state(self) -> AuthorityState:
        """The stage, and the roots and signers of it."""
        return self._state

    @property
    def bundle(self) -> bytes:
        """The trust bundle: the roots that peers verify against, PEM, the one that signs first."""
        return b"".join(pem(line.root) for line in self._state.trusted)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the root that signs, in hexadecimal."""
        return self._state.signing.root_print

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """SHA-256 of every trusted root: what a join token carries."""
        return tuple(line.root_print for line in self._state.trusted)

    @property
    def keeps_root_key(self) -> bool:
        """Whether the key of the root that signs is kept here, so that intermediates can be made."""
        return authority_files.root_signer(self._directory, self._state.signing.root) is not None

    def sign(self, request: bytes, identity: str, *, ttl: timedelta = LEAF_LIFE, now: datetime | None = None) -> bytes:
        """The chain (PEM, leaf first) for a signing request (PEM), naming that SPIFFE ID and nothing else."""
        if not identity.startswith(f"spiffe://{self.trust_domain}/"):
            raise RefusedError(f"{identity} is not of trust domain {self.trust_domain}", "ask its own authority")
        moment = now or utc_now()
        signer = self._current_signer(moment)
        return _issued(signer, request, [x509.UniformResourceIdentifier(identity)], ttl=ttl, now=moment)

    def server_credentials(
        self,
        names: Sequence[str] = (),
        addresses: Sequence[str] = (),
        *,
        ttl: timedelta = LEAF_LIFE,
        now: datetime | None = None,
    ) -> Svid:
        """A new key and certificate for control's own servers: its identity, and these DNS names and addresses."""
        key, moment = new_key(), now or utc_now()
        alternatives: list[x509.GeneralName] = [
            x509.UniformResourceIdentifier(spiffe.control_id(self.trust_domain)),
            *(x509.DNSName(name) for name in dict.fromkeys([spiffe.CONTROL_SERVER_NAME, *names])),
            *(x509.IPAddress(ip_address(address)) for address in dict.fromkeys(addresses)),
        ]
        signer = self._servers_signer(moment)
        return svid(_issued(signer, signing_request(key), alternatives, ttl=ttl, now=moment), key)

    def rotate_signer(
        self, *, given: GivenAuthority | None = None, within: float | None = None, now: datetime | None = None
    ) -> None:
        """Sign with a new intermediate: one made here, or the one given, under the same root.

        `within`: seconds in which all leaves are to be renewed, None for their usual time.
        """
        moment = now or utc_now()
        with self._lock:
            if given is not None:
                signer = self._given_signer(given, moment)
            elif (root := authority_files.root_signer(self._directory, self._state.signing.root)) is not None:
                signer = new_intermediate(root, self.trust_domain, moment)
            else:
                raise RefusedError(
                    "the root's key is not kept here, so no intermediate can be made",
                    "give one that the root signed, with --ca-cert (and the chain up to the root) and --ca-key",
                )
            self._become(rotation.replaced_signer(self._state, signer, within=within))

    def rotate_root(
        self, *, given: GivenAuthority | None = None, within: float | None = None, now: datetime | None = None
    ) -> None:
        """Begin to replace the root by a new one made here, or the given one; RefusedError while that goes on."""
        moment = now or utc_now()
        with self._lock:
            if given is not None:
                line, root = given.line(self.trust_domain, moment), None
                _check_trust_domain(self._directory, line.signer.certificate, self.trust_domain)
            else:
                line, root = _made(self.trust_domain, moment)
            self._become(rotation.begin(self._state, line, now=moment, within=within), root=root)

    def advance(self, *, now: datetime | None = None) -> None:
        """Enter the next stage of replacing the root."""
        with self._lock:
            self._become(rotation.advance(self._state, now=now or utc_now()))

    def cancel(self, *, now: datetime | None = None) -> None:
        """Give up replacing the root; RefusedError once the new one signs."""
        with self._lock:
            self._become(rotation.cancel(self._state, now=now or utc_now()))

    def tidy(self) -> None:
        """Remove what a crash left: retired keys too. For the process that rotates; others may only be reading."""
        with self._lock:
            authority_files.sweep(self._directory, self._state)

    def reload(self) -> None:
        """Follow what another control of the mesh has put into the directory."""
        self._state = authority_files.load(self._directory)
        self.tidy()
        for listener in self.changed:
            listener()

    def _become(self, state: AuthorityState, *, root: Signer | None = None) -> None:
        authority_files.save(self._directory, state, root=root)
        self._state = state
        for listener in self.changed:
            listener()

    def _given_signer(self, given: GivenAuthority, now: datetime) -> Signer:
        line = given.line(self.trust_domain, now)
        if line.root_print != self._state.signing.root_print:
            raise RefusedError(
                f"{given.chain_name}: belongs to another root than the one in force",
                "replace the root with `plait ca rotate --root`, or give an intermediate that the root signed",
            )
        return line.signer

    def _current_signer(self, now: datetime) -> Signer:
        """The signer; past half its life it is replaced first, if the root's key is ours."""
        with self._lock:
            signer = self._state.signing.signer
            if now > halfway(signer):
                root = authority_files.root_signer(self._directory, self._state.signing.root)
                if root is not None:
                    signer = new_intermediate(root, self.trust_domain, now)
                    self._become(rotation.replaced_signer(self._state, signer, within=None))
            if now >= signer.ends:
                raise RefusedError(
                    f"the signing certificate ended on {signer.ends:%Y-%m-%d}",
                    "start control with --ca-cert and --ca-key of the renewed authority",
                )
            return signer

    def _servers_signer(self, now: datetime) -> Signer:
        going = self._state.other if self._state.stage is Stage.REPLACING else None
        if going is not None and now < going.signer.ends:
            return going.signer
        return self._current_signer(now)


def halfway(signer: Signer) -> datetime:
    """The middle of the signer's life."""
    begin = signer.certificate.not_valid_before_utc
    return begin + (signer.ends - begin) / 2


def open_authority(
    directory: Path,
    trust_domain: str,
    *,
    given: tuple[Path, Path] | None = None,
    now: datetime | None = None,
) -> CertificateAuthority:
    """The authority kept in that directory, made on first use; `given` are certificate and key of the user's own.

    A given authority with a root that is trusted already replaces that root's signer. One that was itself replaced
    since is left aside, for whoever starts control may give it for ever. With any other root it is refused, unless the
    present root has ended: then it is replaced at once, by one that was being handed out, if any.
    """
    spiffe.trust_domain(trust_domain)
    private_directory(directory)
    moment = now or utc_now()
    theirs = GivenAuthority.of_files(*given) if given is not None else None
    kept = authority_files.load(directory) if authority_files.established(directory) else None
    if kept is not None:
        _check_trust_domain(directory, kept.signing.signer.certificate, trust_domain)
    going_on = rotation.without_ended(kept, moment) if kept is not None else None
    if going_on is not None and moment < going_on.signing.root.not_valid_after_utc:
        state, root = going_on, None
        if theirs is not None:
            state = _with_given(directory, going_on, theirs, trust_domain=trust_domain, now=moment)
    else:
        state, root = _begun(directory, kept, theirs, trust_domain=trust_domain, now=moment)
    if state is not kept:
        authority_files.save(directory, state, root=root)
    return CertificateAuthority(directory=directory, trust_domain=trust_domain, state=state)


def _begun(
    directory: Path, ended: AuthorityState | None, given: GivenAuthority | None, *, trust_domain: str, now: datetime
) -> tuple[AuthorityState, Signer | None]:
    """A new authority, the first one or in place of one whose root has ended; and its root if that was made here."""
    if ended is not None:
        end = ended.signing.root.not_valid_after_utc
        if given is None and authority_files.root_signer(directory, ended.signing.root) is None:
            remedy = "start control with --ca-cert and --ca-key of an authority that is valid"
            raise RefusedError(f"the mesh's root, which was given, ended on {end:%Y-%m-%d}", remedy)
        log.warning("the mesh's root ended on %s; another takes its place, and machines join again", f"{end:%Y-%m-%d}")
    if given is not None:
        line, root = given.line(trust_domain, now), None
        _check_trust_domain(directory, line.signer.certificate, trust_domain)
    else:
        line, root = _made(trust_domain, now)
    return AuthorityState(signing=line, since=now), root


def _made(trust_domain: str, now: datetime) -> tuple[Line, Signer]:
    root = new_root(trust_domain, now)
    return Line(root=root.certificate, signer=new_intermediate(root, trust_domain, now)), root


def _with_given(
    directory: Path, kept: AuthorityState, given: GivenAuthority, *, trust_domain: str, now: datetime
) -> AuthorityState:
    """The kept state with what the user gives at each start: the signer of one of its roots."""
    root = fingerprint(given.root())
    known = {item.root_print: item for item in kept.trusted}.get(root)
    if known is None and root in kept.retired:
        log.warning("%s holds a root that was replaced; the present one is kept", given.chain_name)
        return kept
    if known is None:
        raise RefusedError(
            f"{directory} holds an authority with another root than {given.chain_name}",
            "leave out --ca-cert to keep it, replace it with `plait ca rotate --root --ca-cert F --ca-key F`,"
            " or use another state directory",
        )
    if given.ends() < known.signer.ends and now < known.signer.ends:
        return kept
    line = given.line(trust_domain, now)
    makes_its_own = len(x509.load_pem_x509_certificates(given.chain)) == 1
    if makes_its_own and now < halfway(known.signer):
        return kept
    if line.signer_print == known.signer_print:
        return kept
    fresh = replace(known, signer=line.signer)
    return replace(kept, signing=fresh) if known is kept.signing else replace(kept, other=fresh)


def _issued(
    signer: Signer, request: bytes, alternatives: Sequence[x509.GeneralName], *, ttl: timedelta, now: datetime
) -> bytes:
    return pem(leaf(signer, verified_request(request), alternatives, now=now, ttl=ttl)) + signer.chain


def _check_trust_domain(directory: Path, certificate: x509.Certificate, trust_domain: str) -> None:
    kept = spiffe_id_of(certificate).removeprefix("spiffe://")
    if kept and kept != trust_domain:
        raise RefusedError(
            f"{directory} holds the authority of trust domain {kept}, not of {trust_domain}",
            f"give --trust-domain {kept}, or use another state directory",
        )
