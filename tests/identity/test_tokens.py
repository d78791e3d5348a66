"""Join tokens work once; user tokens are recognised; neither leaves its secret behind."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from plait.errors import ForbiddenError, RefusedError
from plait.identity.authority import open_authority
from plait.identity.tokens import (
    JoinToken,
    Record,
    new_join_token,
    new_user_token,
    parse_join_token,
    redeem,
    trusted_roots,
    user_of,
    user_token_id,
)

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def token() -> tuple[JoinToken, Record]:
    return new_join_token(
        "laptop",
        ["default/reviews"],
        api_port=1,
        ads_port=2,
        fingerprints=["ab", "cd"],
        expires=NOW + timedelta(hours=1),
    )


def test_a_join_token_survives_being_copied() -> None:
    """The text holds ports, fingerprint, id and secret."""
    made, _ = token()
    assert parse_join_token(f"  {made.encode()}\n") == made


def test_a_join_token_works_once() -> None:
    """The record of a redeemed token refuses it from then on."""
    made, record = token()
    used = redeem(record, made.secret, now=NOW)
    assert (used["node"], used["allow"]) == ("laptop", ["default/reviews"])
    with pytest.raises(ForbiddenError, match="was used"):
        redeem(used, made.secret, now=NOW)


def test_wrong_unknown_and_old_tokens_are_refused() -> None:
    """Each says why; an unknown one is not told apart from a wrong one."""
    made, record = token()
    with pytest.raises(ForbiddenError, match="not known"):
        redeem(record, "guess", now=NOW)
    with pytest.raises(ForbiddenError, match="not known"):
        redeem(None, made.secret, now=NOW)
    with pytest.raises(ForbiddenError, match="ended"):
        redeem(record, made.secret, now=NOW + timedelta(hours=1))


@pytest.mark.parametrize("text", ["", "plait-join1.", "plait-join1.e30", "something else", "plait-join1.WyJhIl0"])
def test_what_is_no_join_token_is_refused(text: str) -> None:
    """A token that was cut or mistyped is a sentence, not a stack trace."""
    with pytest.raises(RefusedError, match="not whole"):
        parse_join_token(text)


def test_records_and_reprs_hold_no_secret() -> None:
    """What is stored and what is printed cannot be used as a token."""
    made, record = token()
    text, user_record = new_user_token("ada")
    assert made.secret not in json.dumps(record)
    assert made.secret not in repr(made) + str(made)
    assert text.rpartition(".")[2] not in json.dumps(user_record)


def test_a_user_token_names_its_user() -> None:
    """Only the token itself is recognised."""
    text, record = new_user_token("ada")
    assert user_token_id(text) == record["id"]
    assert user_of(record, text) == "ada"
    assert user_of(record, text + "x") is None
    assert user_of(None, text) is None
    assert user_token_id("Bearer nonsense") is None


def test_the_root_is_found_by_its_fingerprint(tmp_path: Path) -> None:
    """A machine trusts the root that its token names and no other."""
    ca, other = (open_authority(tmp_path / name, "cluster.local") for name in ("a", "b"))
    assert trusted_roots(other.bundle + ca.bundle, [ca.fingerprint]) == ca.bundle
    for bundle in (other.bundle, b"nonsense"):
        with pytest.raises(ForbiddenError, match="not the one"):
            trusted_roots(bundle, [ca.fingerprint])
