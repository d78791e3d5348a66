"""Session persistence of routes: from Gateway API's words to the model's.

A cookie without a name gets one from its rule, so that rules do not share it.
https://gateway-api.sigs.k8s.io/geps/gep-1619/
"""

import hashlib
from collections.abc import Iterable

from plait.model.sessions import SessionPersistence
from plait.resources.formats import duration_seconds
from plait.resources.gateway_api import session_persistence as api
from plait.snapshot.conditions import Problem


def session_persistence(wanted: api.SessionPersistence | None, rule: str) -> SessionPersistence | None:
    """What keeps clients of a rule on one endpoint."""
    if wanted is None:
        return None
    if wanted.type == "Header":
        return SessionPersistence(name=wanted.header.name if wanted.header else "", header=True)
    cookie = wanted.cookie or api.CookieConfig()
    permanent = cookie.lifetime_type == "Permanent" and wanted.absolute_timeout
    return SessionPersistence(
        name=cookie.name or f"plait-{hashlib.sha256(rule.encode()).hexdigest()[:12]}",
        path=cookie.path,
        lifetime=(duration_seconds(wanted.absolute_timeout) or 0.0) if permanent and wanted.absolute_timeout else 0.0,
    )


def session_problems(wanted: api.SessionPersistence | None, path: str) -> Iterable[Problem]:
    """What of it cannot be done: only a permanent cookie carries its end."""
    if wanted is None or wanted.absolute_timeout is None:
        return
    if wanted.cookie is None or wanted.cookie.lifetime_type != "Permanent":
        sentence = (
            f"{path}.sessionPersistence.absoluteTimeout is for cookies with lifetimeType Permanent only, so the rule "
            "answers 500; remove it"
        )
        yield Problem(reason="UnsupportedValue", message=sentence)
