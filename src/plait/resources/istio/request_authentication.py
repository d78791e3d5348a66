"""security.istio.io RequestAuthentication. Requests without a token pass: a policy must require one.

https://istio.io/latest/docs/reference/config/security/request_authentication/
"""

import json
from collections.abc import Iterator
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field

from plait.resources.formats import IstioDuration
from plait.resources.istio.selectors import PolicyTargetReference, WorkloadSelector
from plait.resources.meta import KubernetesObject
from plait.resources.schema import Boolean, Finding, Model, choice, when

Text = Annotated[str, Field(min_length=1)]
Uri = Annotated[str, Field(min_length=1, max_length=2048)]
HeaderText = Annotated[str, Field(min_length=1, pattern=r"^[-_A-Za-z0-9]+$")]


class JWTHeader(Model):
    """A header that carries a token."""

    name: Text
    """Its name."""
    prefix: str = ""
    """What stands before the token, like `Bearer `."""


class ClaimToHeader(Model):
    """A claim that is copied to a header."""

    header: HeaderText
    """Name of the header."""
    claim: Text
    """Name of the claim; nested ones with dots."""


class JWTRule(Model):
    """An issuer of tokens, and where its tokens are."""

    issuer: Text | None = None
    """The issuer (claim iss)."""
    audiences: tuple[Text, ...] = ()
    """Audiences (claim aud) of which the token must name one."""
    jwks_uri: Uri | None = None
    """Where the issuer's keys are."""
    jwks_uri_old: Uri | None = Field(default=None, alias="jwks_uri")
    """Old form of jwksUri."""
    jwks: str | None = None
    """The issuer's keys."""
    from_headers: tuple[JWTHeader, ...] = ()
    """Headers that carry tokens."""
    from_params: tuple[Text, ...] = ()
    """Query parameters that carry tokens."""
    from_cookies: tuple[Text, ...] = ()
    """Cookies that carry tokens."""
    output_payload_to_header: str = ""
    """Header that gets the token's payload."""
    output_claim_to_headers: tuple[ClaimToHeader, ...] = ()
    """Claims that are copied to headers."""
    forward_original_token: Boolean = False
    """Whether the app gets the token."""
    timeout: IstioDuration | None = None
    """Limit for fetching the keys; 5s if left out."""
    space_delimited_claims: Annotated[tuple[Text, ...], Field(max_length=64)] = ()
    """Claims that are lists with spaces between the values."""

    def broken(self) -> Iterator[Finding]:
        """Keys come from one place, in the right form."""
        yield from when(not self.issuer, "issuer must be set", "issuer")
        yield from choice(
            ("jwksUri", self.jwks_uri is not None),
            ("jwks_uri", self.jwks_uri_old is not None),
            ("jwks", self.jwks is not None),
        )
        for field, uri in (("jwksUri", self.jwks_uri), ("jwks_uri", self.jwks_uri_old)):
            odd = uri is not None and not _is_web_address(uri)
            yield from when(odd, "url must have scheme http:// or https://", field)
        if self.jwks is not None:
            yield from when(not _is_key_set(self.jwks), "must be a JSON Web Key Set", "jwks")


def _is_web_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc)


def _is_key_set(text: str) -> bool:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and "keys" in value


class RequestAuthenticationSpec(Model):
    """Specification of a RequestAuthentication."""

    selector: WorkloadSelector | None = None
    """Workloads it is for; all of the namespace (of the mesh in istio-system) if left out."""
    target_ref: PolicyTargetReference | None = None
    """The object it is for (old form of targetRefs)."""
    target_refs: Annotated[tuple[PolicyTargetReference, ...], Field(max_length=16)] = ()
    """Objects it is for."""
    jwt_rules: Annotated[tuple[JWTRule, ...], Field(max_length=4096)] = ()
    """Issuers whose tokens are accepted."""

    def broken(self) -> Iterator[Finding]:
        """It chooses workloads in one way."""
        ways = (self.selector is not None) + (self.target_ref is not None) + self.given("target_refs")
        yield from when(ways > 1, "only one of targetRefs or selector can be set")


class RequestAuthentication(KubernetesObject):
    """Whose tokens are accepted; invalid ones are refused, missing ones are not."""

    spec: RequestAuthenticationSpec = RequestAuthenticationSpec()
    """Specification."""
