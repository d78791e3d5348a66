"""Rules for connections of which only bytes are known: by server name, by address, with shares of destinations.

They stand on a frontend whose protocol is TCP or TLS, and on a gateway's listener that passes bytes on. The first rule
whose match holds decides; at a gateway's listener the more specific server name wins whatever the order, as Envoy
chooses chains there.
"""

from dataclasses import dataclass

from plait.model.ids import ClusterKey, Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class L4Destination:
    """A share of a rule's connections; `cluster` is None where the reference is broken (that share is closed)."""

    cluster: ClusterKey | None
    weight: int = 1
    origin: Origin | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class L4Rule:
    """One entry of a list: every condition given holds, an empty one always does.

    `sni_hosts` are server names of the caller's TLS, exact or `*.example.com` (any depth below it); a connection
    without TLS has none. `subnets` are CIDR ranges of the dialled address, `ports` dialled ports. Without a usable
    destination connections are closed.
    """

    name: str
    sni_hosts: tuple[str, ...] = ()
    subnets: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    destinations: tuple[L4Destination, ...] = ()
    origin: Origin | None = None

    def takes_port(self, port: int) -> bool:
        """Whether connections to that port may match."""
        return not self.ports or port in self.ports
