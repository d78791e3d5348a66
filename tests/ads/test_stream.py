"""The delta protocol, rule by rule (reference/xds.md, section 2)."""

from plait.ads.stream import Acknowledged, DeltaStream, Refused, Subscribed, Unsubscribed
from plait.envoy.types import CLUSTER, ENDPOINT, LISTENER, NAME, ROUTE, SCOPE, SECRET
from tests.fake_envoy import FakeEnvoy, everything_is_bad, made

WHOLESALE = (NAME, CLUSTER, ENDPOINT, SECRET, LISTENER, ROUTE, SCOPE)


def envoy(*deferred: str) -> FakeEnvoy:
    return FakeEnvoy(DeltaStream(deferred=deferred))


def relay() -> FakeEnvoy:
    """A peer that takes everything wholesale, and names by demand."""
    peer = envoy(NAME).subscribe(NAME)
    for url in WHOLESALE[1:]:
        peer.subscribe(url, "*")
    return peer


def test_a_relay_gets_nothing_before_it_has_asked_for_everything() -> None:
    """Its requests come one by one; a stage whose types it has not named yet must not seem empty."""
    peer = envoy(NAME).subscribe(NAME, "h").publish(*(made(url, "h") for url in WHOLESALE))
    for url in WHOLESALE[1:]:
        peer.expect_nothing()
        assert not peer.stream.in_sync()
        peer.subscribe(url, "*")
    assert {item.type_url for item in peer.receive()} == {ENDPOINT, SECRET, CLUSTER}


def test_nothing_is_answered_before_the_first_publication() -> None:
    """A peer that connects before its state is known waits."""
    peer = envoy().subscribe_all()
    peer.expect_nothing()
    assert not peer.stream.in_sync()


def test_an_empty_wildcard_subscription_is_answered() -> None:
    """Rule 3: Envoy waits for an answer to a wildcard even if there is nothing, in both spellings."""
    for spelling in ((), ("*",)):
        peer = envoy().publish().subscribe(CLUSTER, *spelling)
        peer.expect(CLUSTER, [])
        assert not peer.stream.in_sync()
        peer.ack().expect_nothing()
        assert peer.stream.in_sync()


def test_an_empty_subscription_to_names_is_no_wildcard() -> None:
    """NAME has no wildcard: a relay without demand gets nothing."""
    peer = relay().publish(made(NAME, "reviews"))
    assert NAME not in {item.type_url for item in peer.settle()}


def test_stages_wait_for_the_acknowledgement_of_the_one_before() -> None:
    """Rule 4: clusters, then listeners, then scopes; none before the former is acknowledged."""
    peer = envoy().subscribe_all().publish(made(CLUSTER, "c"), made(LISTENER, "l"), made(SCOPE, "s"))
    peer.expect(CLUSTER, ["c"])
    peer.expect_nothing()
    peer.ack().expect(LISTENER, ["l"])
    peer.ack().expect(SCOPE, ["s"])
    peer.ack().expect_nothing()
    assert peer.stream.in_sync()


def test_a_wholesale_peer_gets_what_others_refer_to_first() -> None:
    """A relay holds endpoints before their clusters and routes before listeners, each stage acknowledged."""
    peer = relay().subscribe(NAME, "h")
    peer.publish(*(made(url, "h") for url in WHOLESALE))
    stages: list[list[str]] = []
    while received := peer.receive():
        stages.append([item.type_url for item in received])
        while peer.unanswered:
            peer.ack()
    assert stages == [[ENDPOINT, SECRET, CLUSTER], [ROUTE, LISTENER], [SCOPE], [NAME]]


def test_types_and_names_not_asked_for_hold_nothing_up() -> None:
    """A stage without a subscriber is skipped: listeners come although nobody asks for clusters or routes."""
    peer = envoy().subscribe(LISTENER).subscribe(ROUTE, "other")
    peer.publish(made(CLUSTER, "c"), made(ENDPOINT, "c"), made(LISTENER, "l"), made(ROUTE, "r"))
    received = peer.receive()
    assert [(item.type_url, item.names, item.removed) for item in received] == [
        (ROUTE, (), ("other",)),
        (LISTENER, ("l",), ()),
    ]


def test_removals_come_last_and_referrers_first() -> None:
    """A route moves to another cluster before the old one goes; each step acknowledged."""
    peer = envoy().subscribe_all().subscribe(ROUTE, "r").subscribe(ENDPOINT, "old", "new")
    peer.publish(
        made(CLUSTER, "old"), made(ENDPOINT, "old"), made(LISTENER, "gone"), made(ROUTE, "r"), made(SCOPE, "gone")
    ).settle()
    peer.publish(made(CLUSTER, "new"), made(ENDPOINT, "new"), made(ROUTE, "r", "2"))
    steps = [(item.type_url, item.names, item.removed) for item in peer.settle()]
    assert steps == [
        (CLUSTER, ("new",), ()),
        (ENDPOINT, ("new",), ()),
        (ROUTE, ("r",), ()),
        (SCOPE, (), ("gone",)),
        (LISTENER, (), ("gone",)),
        (CLUSTER, (), ("old",)),
        (ENDPOINT, (), ("old",)),
    ]


def test_an_incomplete_set_removes_nothing() -> None:
    """A set made for an older demand adds, and leaves what it does not know of alone."""
    peer = envoy().subscribe_all().publish(made(CLUSTER, "a"))
    peer.settle()
    peer.publish(made(CLUSTER, "b"), complete=False).settle()
    assert peer.held[CLUSTER].keys() == {"a", "b"}
    peer.publish(made(CLUSTER, "b")).settle()
    assert peer.held[CLUSTER].keys() == {"b"}


def test_a_changed_cluster_gets_its_endpoints_again() -> None:
    """Rule 2: Envoy warms a changed cluster until endpoints come, and does not ask for them."""
    peer = envoy().subscribe_all().subscribe(ENDPOINT, "c", "d")
    endpoints = (made(ENDPOINT, "c"), made(ENDPOINT, "d"))
    peer.publish(made(CLUSTER, "c"), made(CLUSTER, "d"), *endpoints).settle()
    peer.publish(made(CLUSTER, "c", "2"), made(CLUSTER, "d"), *endpoints)
    assert [(item.type_url, item.names) for item in peer.receive()] == [(CLUSTER, ("c",)), (ENDPOINT, ("c",))]


def test_a_wholesale_peer_does_not_get_unchanged_endpoints_again() -> None:
    """A relay keeps endpoints itself, so a changed cluster alone is sent."""
    peer = relay().publish(made(CLUSTER, "c"), made(ENDPOINT, "c"))
    peer.settle()
    peer.publish(made(CLUSTER, "c", "2"), made(ENDPOINT, "c"))
    peer.expect(CLUSTER, ["c"])


def test_endpoint_changes_are_never_held_back_and_hold_nothing_back() -> None:
    """New endpoints go out while others are unacknowledged, and listeners do not wait for them."""
    peer = envoy().subscribe_all().subscribe(ENDPOINT, "c")
    peer.publish(made(CLUSTER, "c"), made(ENDPOINT, "c")).settle()
    for content in ("2", "3"):
        peer.publish(made(CLUSTER, "c"), made(ENDPOINT, "c", content))
        peer.expect(ENDPOINT, ["c"])
    peer.publish(made(CLUSTER, "c"), made(ENDPOINT, "c", "3"), made(LISTENER, "l"))
    peer.expect(LISTENER, ["l"])
    assert not peer.stream.in_sync()
    peer.settle()
    assert peer.stream.in_sync()


def test_newest_wins_while_a_response_is_unacknowledged() -> None:
    """Versions published between a response and its acknowledgement are skipped, not queued."""
    peer = envoy().subscribe(CLUSTER).publish(made(CLUSTER, "c"))
    peer.receive()
    for content in "23456":
        peer.publish(made(CLUSTER, "c", content)).expect_nothing()
    latest = made(CLUSTER, "c", "6")[1].version
    assert peer.ack().expect(CLUSTER, ["c"]).versions == {"c": latest}


def test_what_a_reconnecting_peer_holds_is_not_sent_again() -> None:
    """Rule 1: after a restart of control only what changed is sent, and what vanished is removed."""
    before = (made(CLUSTER, "same"), made(CLUSTER, "changed"), made(CLUSTER, "gone"), made(ENDPOINT, "same"))
    peer = envoy().subscribe(CLUSTER).subscribe(ENDPOINT, "same").publish(*before)
    peer.settle()

    again = peer.reconnect(DeltaStream(), {CLUSTER: ("*",), ENDPOINT: ("same",)})
    again.publish(made(CLUSTER, "same"), made(CLUSTER, "changed", "2"), made(ENDPOINT, "same"))
    again.expect(CLUSTER, ["changed"])
    again.ack().expect(CLUSTER, [], removed=["gone"])
    again.ack().expect_nothing()
    assert again.stream.in_sync()
    assert again.stream.resources_sent == 1


def test_a_reconnecting_peer_in_step_gets_no_response_at_all() -> None:
    """A wildcard with everything held needs no answer."""
    peer = envoy().subscribe(CLUSTER).publish(made(CLUSTER, "c"))
    peer.settle()
    again = peer.reconnect(DeltaStream(), {CLUSTER: ("*",)}).publish(made(CLUSTER, "c"))
    again.expect_nothing()
    assert again.stream.in_sync()


def test_a_name_asked_for_again_is_sent_again() -> None:
    """Rule 5: a client that asks again has lost it."""
    peer = envoy().subscribe(ENDPOINT, "c").publish(made(ENDPOINT, "c"))
    peer.settle()
    peer.subscribe(ENDPOINT, "c").expect(ENDPOINT, ["c"])


def test_an_unsubscribed_name_is_forgotten() -> None:
    """Rule 5: nothing is sent for it any more, until it is asked for again."""
    peer = envoy().subscribe(ENDPOINT, "c").publish(made(ENDPOINT, "c"))
    peer.settle()
    peer.unsubscribe(ENDPOINT, "c").publish(made(ENDPOINT, "c", "2")).expect_nothing()
    assert peer.stream.in_sync()
    peer.subscribe(ENDPOINT, "c").expect(ENDPOINT, ["c"])


def test_unsubscribing_a_name_under_a_wildcard_tells_it_again() -> None:
    """The client may have dropped it although the wildcard covers it: it is sent, or said to be absent."""
    peer = envoy().subscribe(CLUSTER, "*", "c", "missing").publish(made(CLUSTER, "c"))
    peer.settle()
    peer.request(CLUSTER, resource_names_unsubscribe=["c"]).expect(CLUSTER, ["c"])
    peer.ack().request(CLUSTER, resource_names_unsubscribe=["missing"]).expect(CLUSTER, [], removed=["missing"])
    peer.ack().expect_nothing()


def test_leaving_the_wildcard_keeps_only_the_names() -> None:
    """After `*` is unsubscribed only changes of the names asked for are sent."""
    peer = envoy().subscribe(CLUSTER, "*", "c").publish(made(CLUSTER, "c"), made(CLUSTER, "d"))
    peer.settle()
    peer.request(CLUSTER, resource_names_unsubscribe=["*"])
    peer.publish(made(CLUSTER, "c", "2"), made(CLUSTER, "d", "2")).expect(CLUSTER, ["c"])


def test_a_name_that_does_not_exist_is_answered_once() -> None:
    """The client must not wait for it; when it comes into being it is sent."""
    peer = envoy().publish().subscribe(ENDPOINT, "c")
    peer.expect(ENDPOINT, [], removed=["c"])
    peer.ack().publish().expect_nothing()
    peer.publish(made(ENDPOINT, "c")).expect(ENDPOINT, ["c"])


def test_a_deferred_name_is_denied_only_once_it_was_looked_for() -> None:
    """A host that control has not looked at yet is not said to be missing, nor removed."""
    peer = relay().publish()
    peer.settle()
    peer.subscribe(NAME, "reviews", "nowhere").expect_nothing()
    peer.publish(made(NAME, "reviews"), answered={NAME: {"reviews", "nowhere"}})
    received = peer.receive()
    assert {(item.names, item.removed) for item in received} == {(("reviews",), ()), ((), ("nowhere",))}
    peer.settle()
    peer.publish(answered={NAME: {"nowhere"}}).expect_nothing()
    peer.publish(answered={NAME: {"reviews", "nowhere"}}).expect(NAME, [], removed=["reviews"])


def test_denials_do_not_wait_for_stages() -> None:
    """That a host does not exist is said at once, whatever is under way."""
    peer = relay().publish(made(CLUSTER, "c"))
    peer.receive()
    peer.subscribe(NAME, "nowhere").publish(made(CLUSTER, "c"), answered={NAME: {"nowhere"}})
    peer.expect(NAME, [], removed=["nowhere"])


def test_the_name_comes_after_everything_else_is_acknowledged() -> None:
    """A DNS answer waits for the name, so the name waits for cluster, endpoints, route and scope."""
    peer = relay().publish()
    peer.settle()
    peer.subscribe(NAME, "h").publish(*(made(url, "h") for url in (CLUSTER, ENDPOINT, ROUTE, SCOPE, NAME)))
    order = [item.type_url for item in peer.settle()]
    assert order == [ENDPOINT, CLUSTER, ROUTE, SCOPE, NAME]


def test_types_not_known_yet_are_not_answered() -> None:
    """A relay that has only clusters so far must not tell Envoy that there are no listeners."""
    peer = envoy().subscribe_all().publish(made(CLUSTER, "c"), known=[CLUSTER])
    assert [item.type_url for item in peer.settle()] == [CLUSTER]
    peer.publish(made(CLUSTER, "c"), known=[CLUSTER, LISTENER]).expect(LISTENER, [])


def test_a_refusal_names_the_resource_and_the_message() -> None:
    """A NACK of one resource is an event; it is not sent again until its content changes."""
    bad = made(CLUSTER, "bad")
    peer = envoy().subscribe(CLUSTER).publish(bad)
    peer.receive()
    peer.nack("no such filter").expect_nothing()
    version = bad[1].version
    assert peer.events[-1] == Refused(type_url=CLUSTER, name="bad", version=version, message="no such filter")
    assert {key: item.message for key, item in peer.stream.refusals().items()} == {(CLUSTER, "bad"): "no such filter"}
    peer.publish(made(CLUSTER, "bad", "mended")).expect(CLUSTER, ["bad"])
    peer.ack()
    assert not peer.stream.refusals()


def test_a_refused_response_is_bisected_down_to_the_bad_resource() -> None:
    """Rule on NACK: good resources of a refused response reach the peer, the bad one alone is refused."""
    bad = made(CLUSTER, "c7", "bad")
    peer = envoy().subscribe(CLUSTER).publish(*(made(CLUSTER, f"c{n}") for n in range(7)), bad)
    peer.settle(lambda _url, name, _version: name == "c7")
    assert peer.held[CLUSTER].keys() == {f"c{n}" for n in range(7)}
    assert [event.name for event in peer.events if isinstance(event, Refused)] == ["c7"]
    assert peer.stream.in_sync()


def test_a_refused_type_does_not_block_later_stages() -> None:
    """Listeners follow although a cluster was refused."""
    peer = envoy().subscribe_all().publish(made(CLUSTER, "bad"), made(LISTENER, "l"))
    peer.receive()
    peer.nack().expect(LISTENER, ["l"])


def test_while_an_old_version_is_pinned_nothing_it_may_refer_to_is_removed() -> None:
    """The last good route keeps its cluster; once the route is mended the cluster goes."""
    peer = envoy().subscribe_all().subscribe(ROUTE, "r").publish(made(CLUSTER, "old"), made(ROUTE, "r"))
    peer.settle()
    bad = made(ROUTE, "r", "bad")
    peer.publish(made(CLUSTER, "new"), bad).settle(lambda _url, _name, version: version == bad[1].version)
    assert peer.held[CLUSTER].keys() == {"old", "new"}
    assert peer.stream.in_sync()
    peer.publish(made(CLUSTER, "new"), made(ROUTE, "r", "mended")).settle()
    assert peer.held[CLUSTER].keys() == {"new"}


def test_going_back_to_the_accepted_version_after_a_refusal_sends_nothing() -> None:
    """A peer that refused holds what it had."""
    peer = envoy().subscribe(CLUSTER).publish(made(CLUSTER, "c"))
    peer.settle()
    peer.publish(made(CLUSTER, "c", "bad")).settle(everything_is_bad)
    peer.publish(made(CLUSTER, "c")).expect_nothing()
    assert not peer.stream.refusals()


def test_unknown_types_and_stale_nonces_are_ignored() -> None:
    """A request for what is not served, or an answer to nothing, changes nothing."""
    peer = envoy().publish(made(CLUSTER, "c")).subscribe(CLUSTER)
    peer.receive()
    peer.request("type.googleapis.com/envoy.service.runtime.v3.Runtime", resource_names_subscribe=["x"])
    peer.request(CLUSTER, response_nonce="999").expect_nothing()
    assert not peer.stream.in_sync()
    peer.ack()
    assert peer.stream.in_sync()


def test_events_tell_interest_and_acknowledgements() -> None:
    """What the peer asks for, drops and takes is reported once each."""
    peer = envoy().publish(made(ENDPOINT, "c")).subscribe(CLUSTER).subscribe(ENDPOINT, "c")
    peer.receive()
    peer.ack().ack().unsubscribe(ENDPOINT, "c")
    assert peer.events == [
        Subscribed(type_url=CLUSTER, names=(), wildcard=True),
        Subscribed(type_url=ENDPOINT, names=("c",), wildcard=False),
        Acknowledged(type_url=CLUSTER, names=()),
        Acknowledged(type_url=ENDPOINT, names=("c",)),
        Unsubscribed(type_url=ENDPOINT, names=("c",)),
    ]


def test_confirmed_tells_whether_a_set_has_arrived() -> None:
    """What was asked for must be held; what nobody asked for, or was replaced since, holds nothing up."""
    route, other = made(ROUTE, "r"), made(ROUTE, "other")
    peer = envoy().subscribe(ROUTE, "r").publish(route, other)
    versions = {"r": route[1].version, "other": other[1].version}
    assert not peer.stream.confirmed(ROUTE, versions)
    peer.settle()
    assert peer.stream.confirmed(ROUTE, versions)
    assert peer.stream.confirmed(ROUTE, {"r": "replaced-version"})
    peer.publish(other)
    assert not peer.stream.confirmed(ROUTE, {"r": ""})
    peer.settle()
    assert peer.stream.confirmed(ROUTE, {"r": ""})
