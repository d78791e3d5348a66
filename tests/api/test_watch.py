"""Watches against a real server: what is told, from where, and how they end."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from plait.api.client import Client
from tests.api.objects import http_route, service
from tests.api.serving import Serving

SERVICES = "/api/v1/namespaces/default/services"
ROUTES = "/apis/gateway.networking.k8s.io/v1/namespaces/default/httproutes"


@pytest.fixture
def client(server: Serving) -> Iterator[Client]:
    """A client on the unix socket."""
    with Client(f"unix://{server.socket}") as client:
        yield client


def _take(events: Iterator[Any], count: int) -> list[tuple[str, str]]:
    return [
        (event["type"], event["object"]["metadata"]["name"]) for _, event in zip(range(count), events, strict=False)
    ]


def test_a_watch_goes_on_where_a_list_ended(client: Client) -> None:
    """What happened after the list's revision is told, in order and nothing else."""
    client.create(SERVICES, service("before"))
    since = client.get(SERVICES)["metadata"]["resourceVersion"]
    client.create(SERVICES, service("a"))
    client.create(
        SERVICES.replace("/api/v1", "/apis/gateway.networking.k8s.io/v1").replace("services", "httproutes"),
        http_route(),
    )
    client.patch(f"{SERVICES}/a", {"metadata": {"labels": {"x": "y"}}})
    client.delete(f"{SERVICES}/a")

    events = list(client.watch(SERVICES, since=since, timeout=1))

    assert [(event["type"], event["object"]["metadata"]["name"]) for event in events] == [
        ("ADDED", "a"),
        ("MODIFIED", "a"),
        ("DELETED", "a"),
    ]
    revisions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events]
    assert revisions == sorted(set(revisions))


def test_a_watch_without_revision_tells_the_state_first(client: Client) -> None:
    """Everything that exists is told as added."""
    client.create(SERVICES, service("a"))
    client.create(SERVICES, service("b"))

    assert _take(client.watch(SERVICES), 2) == [("ADDED", "a"), ("ADDED", "b")]


def test_changes_come_at_once(client: Client, server: Serving) -> None:
    """A watcher that waits hears of a change made by someone else."""
    events = client.watch(SERVICES, timeout=10)
    with Client(f"unix://{server.socket}") as other:
        timer = threading.Timer(0.2, lambda: other.create(SERVICES, service("late")))
        timer.start()

        assert _take(events, 1) == [("ADDED", "late")]
        timer.join()


def test_selectors_follow_the_object(client: Client) -> None:
    """An object that begins to match is added, one that ceases to is deleted."""
    client.create(SERVICES, service("a", tier="front"))
    since = client.get(SERVICES)["metadata"]["resourceVersion"]
    for tier in ("back", "front", "front"):
        client.patch(f"{SERVICES}/a", {"metadata": {"labels": {"tier": tier}, "annotations": {"n": tier}}})
    client.create(SERVICES, service("b", tier="back"))
    client.patch(f"{SERVICES}/a", {"metadata": {"annotations": {"n": "x"}}})

    selected = list(client.watch(SERVICES, since=since, timeout=1, query={"labelSelector": "tier=front"}))
    named = list(client.watch(SERVICES, since=since, timeout=1, query={"fieldSelector": "metadata.name=b"}))

    assert [event["type"] for event in selected] == ["DELETED", "ADDED", "MODIFIED"]
    assert [event["type"] for event in named] == ["ADDED"]


def test_a_lost_revision_is_told_as_expired(client: Client) -> None:
    """A client that comes from another life of the store must list again."""
    (event,) = client.watch(SERVICES, since="999999")

    assert event["type"] == "ERROR"
    assert (event["object"]["code"], event["object"]["reason"]) == (410, "Expired")


def test_initial_events_end_with_a_bookmark(client: Client) -> None:
    """Newer clients ask for the state within the watch, and for a mark where it ends."""
    client.create(SERVICES, service("a"))
    query = {"sendInitialEvents": "true", "allowWatchBookmarks": "true", "resourceVersionMatch": "NotOlderThan"}

    added, bookmark, *_ = client.watch(SERVICES, since="0", timeout=1, query=query)

    assert added["type"] == "ADDED"
    assert bookmark["type"] == "BOOKMARK"
    assert bookmark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert int(bookmark["object"]["metadata"]["resourceVersion"]) >= int(added["object"]["metadata"]["resourceVersion"])


def test_bookmarks_tell_how_far_a_quiet_watch_is(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """While only other kinds change, the watcher learns the revision it may continue from."""
    monkeypatch.setattr("plait.api.watch.BOOKMARK_EVERY", 0.2)
    since = client.get(SERVICES)["metadata"]["resourceVersion"]
    client.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})

    events = list(client.watch(SERVICES, since=since, timeout=1, query={"allowWatchBookmarks": "true"}))

    assert {event["type"] for event in events} == {"BOOKMARK"}
    assert int(events[-1]["object"]["metadata"]["resourceVersion"]) > int(since)
