"""What control adds to the API for its certificate authority: how it stands, and rotating it. Only the owner may."""

from typing import Final

from fastapi import FastAPI, Request

from plait.api import schemas
from plait.controlplane.access import OWNER
from plait.controlplane.rotation import Rotations
from plait.errors import ForbiddenError, RefusedError
from plait.identity.authority import CertificateAuthority
from plait.identity.given_authority import GivenAuthority
from plait.identity.rotation import LONGEST_LEAF

_LONGEST: Final = int(LONGEST_LEAF.total_seconds())


def add_ca_routes(app: FastAPI, authority: CertificateAuthority, rotations: Rotations) -> None:
    """Add the routes."""

    @app.get("/plait/v1/ca")
    async def status() -> schemas.CaStatus:
        """Stage, roots, signer, and who has not followed."""
        return schemas.CaStatus.model_validate(await rotations.status())

    @app.post("/plait/v1/ca/rotate")
    async def rotate(wanted: schemas.CaRotation, request: Request) -> schemas.CaStatus:
        """Replace the intermediate, or take a step in replacing the root."""
        if request.state.user != OWNER:
            raise ForbiddenError(f"{request.state.user} may not rotate the mesh's certificates", "ask its owner")
        apply_rotation(authority, wanted)
        return schemas.CaStatus.model_validate(await rotations.status())


def apply_rotation(authority: CertificateAuthority, wanted: schemas.CaRotation) -> None:
    """Do what is wanted; RefusedError if it makes no sense, or not at this stage."""
    if sum((wanted.root, wanted.proceed, wanted.cancel)) > 1:
        raise RefusedError("root, proceed and cancel exclude each other", "say one of them")
    if bool(wanted.certificates) != bool(wanted.key):
        raise RefusedError("certificates and key belong together", "give both")
    if wanted.within is not None and not 0 <= wanted.within <= _LONGEST:
        raise RefusedError(f"{wanted.within:g} is no time to renew in", f"give from 0 to {_LONGEST} seconds")
    if wanted.certificates and (wanted.proceed or wanted.cancel):
        raise RefusedError("proceed and cancel go without certificates", "leave them out; a rotation has its own")
    given = _given(wanted)
    if wanted.proceed:
        authority.advance()
    elif wanted.cancel:
        authority.cancel()
    elif wanted.root:
        authority.rotate_root(given=given, within=wanted.within)
    else:
        authority.rotate_signer(given=given, within=wanted.within)


def _given(wanted: schemas.CaRotation) -> GivenAuthority | None:
    if not wanted.certificates:
        return None
    return GivenAuthority(chain=wanted.certificates.encode(), key=wanted.key.encode())
