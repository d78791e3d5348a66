"""Stable addresses of services and ranges of machines."""

from hypothesis import given
from hypothesis import strategies as st

from plait.controlplane.addresses import RESERVED_FOR, ServiceAddresses, is_service_address, machine_range, mesh_range


def test_a_service_made_again_gets_its_address_back():
    """What long-lived DNS answers carry stays right after delete and create."""
    addresses = ServiceAddresses()
    first = addresses.allocate("default/reviews")
    addresses.release("default/reviews")
    addresses.allocate("default/other")

    assert addresses.allocate("default/reviews") == first


def colliding() -> tuple[str, str]:
    """Two owners whose names lead to the same address."""
    seen: dict[str, str] = {}
    for number in range(5000):
        owner = f"Service shop/s{number}"
        address = ServiceAddresses().allocate(owner)
        if address in seen:
            return seen[address], owner
        seen[address] = owner
    raise AssertionError


def test_nobody_gets_the_address_of_a_deleted_service():
    """Made again in another order, both have what long-lived DNS answers carry."""
    addresses, (one, two) = ServiceAddresses(), colliding()
    before = {owner: addresses.allocate(owner) for owner in (one, two)}
    for owner in (one, two):
        addresses.release(owner)

    assert {owner: addresses.allocate(owner) for owner in (two, one)} == before


def test_an_owner_keeps_its_address_when_a_nearer_one_is_free():
    """A control that started after the other was deleted knows nothing of it, and yet moves nobody."""
    one, two = colliding()
    earlier = ServiceAddresses()
    earlier.allocate(one)
    address = earlier.allocate(two)
    addresses = ServiceAddresses()
    addresses.take(two, address)

    assert addresses.allocate(two) == address


def test_an_address_that_was_only_tried_is_free_again():
    """As after a dry run; one that was stored meanwhile stays, and so does one that is tried once more."""
    time = [0.0]
    addresses = ServiceAddresses(lambda: time[0])
    tried, stored = addresses.allocate("tried"), addresses.allocate("stored")
    addresses.take("stored", stored)
    time[0] = RESERVED_FOR / 2
    again = addresses.allocate("again")
    assert addresses.holder(tried) == "tried"

    time[0] = RESERVED_FOR
    assert addresses.allocate("again") == again
    assert (addresses.holder(tried), addresses.holder(stored)) == (None, "stored")
    time[0] = RESERVED_FOR * 1.5 - 1
    assert addresses.holder(again) == "again"


def test_trying_what_is_stored_takes_nothing_away():
    """A dry run of a change to a Service leaves its address with it for ever."""
    time = [0.0]
    addresses = ServiceAddresses(lambda: time[0])
    address = addresses.allocate("web")
    addresses.take("web", address)

    addresses.reserve("web", address)
    time[0] = RESERVED_FOR * 2

    assert addresses.holder(address) == "web"


@given(st.sets(st.text(min_size=1, max_size=20), max_size=60))
def test_no_two_services_share_an_address(owners: set[str]):
    """Whatever the names, every address is unique and in the range."""
    addresses = ServiceAddresses()
    given_out = [addresses.allocate(owner) for owner in owners]

    assert len(set(given_out)) == len(owners)
    assert all(is_service_address(address) for address in given_out)


def test_machines_get_ranges_of_their_own():
    """The next machine's range overlaps none that is taken."""
    first = machine_range("10.60.0.0/16", set())
    second = machine_range("10.60.0.0/16", {first})

    assert (first, second) == ("10.60.0.0/24", "10.60.1.0/24")


def test_a_new_mesh_avoids_ranges_in_use():
    """Two meshes on one machine get ranges that do not overlap."""
    first = mesh_range("one", [])

    assert mesh_range("one", [first]) != first
    assert mesh_range("one", ["0.0.0.0/0"]) == first
