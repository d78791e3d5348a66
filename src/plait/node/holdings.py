"""What certificates and roots are in use on this machine, as control is told: its own, and those of its proxies.

A proxy holds what its Envoy has acknowledged. What it was only given counts not yet, so control hears of what it held
before, and of nothing for an Envoy that has acknowledged nothing since this agent started.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from plait.identity.svid import Svid
from plait.identity.trust import fingerprints, root_of, signer_of
from plait.node.membership import MachineIdentity
from plait.node.registration import Phase
from plait.node.workload import Workload

_WITHOUT_PROXY: Final = (Phase.PENDING, Phase.EXITED)


class Holdings:
    """Keeps what was acknowledged last."""

    def __init__(self, identity: MachineIdentity) -> None:
        self._identity = identity
        self._acknowledged: dict[str, Mapping[str, Any]] = {}

    def told(self, workloads: Iterable[Workload]) -> Mapping[str, Any]:
        """What to tell control now."""
        bundle = self._identity.bundle()
        present = {item.proxy: item for item in workloads if item.life.phase not in _WITHOUT_PROXY}
        for proxy, workload in present.items():
            if workload.identity is not None and workload.context.relay.holds_secrets(proxy):
                self._acknowledged[proxy] = _held(workload.identity, bundle)
        self._acknowledged = {proxy: held for proxy, held in self._acknowledged.items() if proxy in present}
        return {"machine": _held(self._identity.member.identity, bundle), "proxies": dict(self._acknowledged)}


def _held(leaf: Svid, bundle: bytes) -> Mapping[str, Any]:
    return {
        "signer": signer_of(leaf.chain),
        "root": root_of(leaf.chain, bundle),
        "roots": list(fingerprints(bundle)),
    }
