"""Whether this machine lets the agent capture traffic transparently, and if not, why not.

Asked by trying: a namespace is made, given a workload's rules, and deleted. A kernel without the needed parts, a
container without privileges and a missing tool each end in the sentence that `plait status` shows for explicit capture.
"""

import os
import secrets

from plait.errors import PlaitError
from plait.node import bridge, netns, nft
from plait.node.nft import WorkloadRules

_TRIAL = WorkloadRules(address="192.0.2.2", gateway="192.0.2.1", publisher="192.0.2.6", dns_port=53, envoy_uid=1)


def why_not_transparent() -> str:
    """Why transparent capture does not work here; empty if it does."""
    if os.geteuid() != 0:
        return "the node agent is not root"
    name = f"plait-trial-{secrets.token_hex(4)}"
    try:
        netns.create(name)
        netns.within(netns.path_of(name), lambda: nft.apply(nft.render_workload(_TRIAL)))
        bridge.write_sysctl("ipv4/ip_forward", bridge.read_sysctl("ipv4/ip_forward"))
    except PlaitError as error:
        return error.problem
    except OSError as error:
        return f"network namespaces cannot be made here ({error.strerror})"
    finally:
        netns.delete(name)
    return ""
