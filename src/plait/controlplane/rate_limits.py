"""The counters of limits that instances share, and what the mesh's Services say of them."""

from collections.abc import Callable

from plait.controlplane.settings import ControlSettings
from plait.limiting import counting
from plait.limiting.service import Limits, RateLimits
from plait.model.snapshot import Snapshot
from plait.snapshot.shared_limits import served_limits


class ServedLimits:
    """The limits of the services that a machine serves, looked up once for each snapshot."""

    def __init__(self, snapshot: Callable[[], Snapshot]) -> None:
        self._snapshot = snapshot
        self._of: Snapshot | None = None
        self._known: dict[str, Limits] = {}

    def __call__(self, machine: str) -> Limits:
        """The limits by service and id."""
        snapshot = self._snapshot()
        if snapshot is not self._of:
            self._of = snapshot
            self._known.clear()
        if machine not in self._known:
            self._known[machine] = served_limits(snapshot, machine)
        return self._known[machine]


def rate_limits(settings: ControlSettings, snapshot: Callable[[], Snapshot], trust_domain: str) -> RateLimits:
    """What answers machines; raises RefusedError if the counters are to be where they cannot be."""
    store = settings.rate_limit_store
    counter = counting.in_redis(store, f"plait:{trust_domain}") if store else counting.in_memory()
    return RateLimits(ServedLimits(snapshot), counter)
