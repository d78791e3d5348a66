"""What callers were told of a destination by DestinationRules: its subsets, and how calls to it are treated.

A `DestinationRule` here is what the objects of one namespace say together of one host. Which one a caller follows is
decided when its view is made (`snapshot.destinations`): rules are looked up in the caller's namespace first.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from plait.model.ids import Origin
from plait.model.services import Labels
from plait.model.traffic_policy import TrafficPolicy

OWN = "."
"""In `export_to`: callers of the rule's own namespace."""
EVERYBODY = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subset:
    """The endpoints of a service that bear these labels."""

    name: str
    labels: Labels = ()
    policy: TrafficPolicy | None = None
    origin: Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationRule:
    """What one namespace says of a host; `host` is as it was written.

    `export_to` are the namespaces whose callers may follow it, empty for all; with a `selector` it is for callers of
    its own namespace that bear these labels.
    """

    namespace: str
    host: str
    policy: TrafficPolicy | None = None
    subsets: tuple[Subset, ...] = ()
    export_to: tuple[str, ...] = ()
    selector: Labels | None = None
    origin: Origin

    def subset(self, name: str) -> Subset | None:
        """The subset of that name."""
        return next((subset for subset in self.subsets if subset.name == name), None)

    @property
    def is_private(self) -> bool:
        """Whether only callers of its own namespace follow it."""
        return self.selector is not None or self.export_to in ((OWN,), (self.namespace,))

    def exported_to(self, namespace: str) -> bool:
        """Whether callers of another namespace may follow it."""
        if self.is_private:
            return False
        return not self.export_to or EVERYBODY in self.export_to or namespace in self.export_to

    @property
    def serves_its_own(self) -> bool:
        """Whether callers of its own namespace follow it."""
        return not self.export_to or not {OWN, EVERYBODY, self.namespace}.isdisjoint(self.export_to)


Rules = tuple[DestinationRule, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceRules:
    """The rules of one namespace by host; `wildcards` end in what follows the `*`, the longest first."""

    exact: Mapping[str, Rules] = field(default_factory=dict[str, Rules])
    wildcards: tuple[tuple[str, Rules], ...] = ()

    def of(self, host: str) -> Rules:
        """The rules for a host: those of its own name, else of the longest wildcard that covers it."""
        found = self.exact.get(host)
        if found is not None:
            return found
        return next((rules for ending, rules in self.wildcards if host.endswith(ending) and host != ending), ())
