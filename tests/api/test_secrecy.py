"""Secrets are the owner's: users with a token of their own can neither read keys nor make themselves owner."""

import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest

from plait.api.app import create_app
from tests.api.calling import Api
from tests.api.objects import service
from tests.api.serving import TOKEN, backend, store_with_namespaces

SECRET: Mapping[str, Any] = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "web", "namespace": "default"},
    "data": {"tls.key": base64.b64encode(b"the private key").decode()},
}
SECRETS = "/api/v1/namespaces/default/secrets"
SYSTEM = "/api/v1/namespaces/plait-system"


@pytest.fixture
def pair() -> tuple[Api, Api]:
    """The owner and a tester of one mesh that has a Secret."""
    users = {"the-owner": "owner", TOKEN: "tester"}

    def authenticate(token: str | None, is_unix: bool) -> str | None:
        return None if is_unix else users.get(token or "")

    app = create_app(backend(store_with_namespaces(), authenticate=authenticate))
    owner = Api(app, token="the-owner")
    assert owner.post(SECRETS, json=SECRET).status_code == 201
    return owner, Api(app)


@pytest.mark.parametrize("path", [SECRETS, f"{SECRETS}/web", "/api/v1/secrets", f"{SECRETS}?watch=true"])
def test_only_the_owner_reads_secrets(pair: tuple[Api, Api], path: str) -> None:
    """One, a list, all namespaces and a watch: each is refused, and tells no data."""
    owner, tester = pair
    refused = tester.get(path)
    assert (refused.status_code, refused.json()["reason"]) == (403, "Forbidden")
    assert "tls.key" not in refused.text
    if "watch" not in path:
        assert "tls.key" in owner.get(path).text


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_only_the_owner_changes_secrets(pair: tuple[Api, Api], method: str) -> None:
    """No write reaches a Secret, and no answer to a write tells its data."""
    owner, tester = pair
    headers = {"content-type": "application/merge-patch+json" if method == "PATCH" else "application/json"}
    answer = tester.request(method, f"{SECRETS}/web", content=json.dumps(SECRET), headers=headers)
    assert answer.status_code == 403
    assert owner.get(f"{SECRETS}/web").status_code == 200


@pytest.mark.parametrize("dry_run", [False, True])
def test_applied_sets_hold_no_secrets_of_users(pair: tuple[Api, Api], dry_run: bool) -> None:
    """A set with a Secret is refused whole; without one it is applied."""
    owner, tester = pair
    body = {"documents": [service("reviews"), SECRET], "fieldManager": "plait", "force": True, "dryRun": dry_run}
    assert tester.post("/plait/v1/apply", json=body).status_code == 403
    assert owner.get("/api/v1/namespaces/default/services/reviews").status_code == 404
    assert tester.post("/plait/v1/apply", json={**body, "documents": [service("reviews")]}).status_code == 200
    assert owner.post("/plait/v1/apply", json=body).status_code == 200


def test_users_do_not_write_where_the_mesh_keeps_its_own(pair: tuple[Api, Api]) -> None:
    """Records of tokens and machines are out of reach, one by one and by a deletion over all namespaces."""
    owner, tester = pair
    record = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "known"}, "data": {"a": "1"}}
    assert tester.post(f"{SYSTEM}/configmaps", json=record).status_code == 403
    assert owner.post(f"{SYSTEM}/configmaps", json=record).status_code == 201
    assert tester.delete("/api/v1/configmaps").status_code == 403
    assert tester.delete("/api/v1/namespaces/plait-system").status_code == 403
    assert tester.get(f"{SYSTEM}/configmaps/known").status_code == 200
    assert tester.post("/api/v1/namespaces/default/configmaps", json=record).status_code == 201
