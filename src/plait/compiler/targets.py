"""What callers know of the servers behind a cluster whose sidecars pass bytes.

Such a server closes a connection that its policies deny, which would reach the app as a 503 without a word. Since it
asks for identities only, its answer is known here: where all servers would deny this caller, the caller's own sidecar
gives the 403 that they would give. They decide all the same.

A change of what such a server asks ends its open connections when its listener has drained. The cluster bears that as
its metadata, so that callers make new connections as soon as they learn of it, and lose no request.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from envoy.config.core.v3 import base_pb2
from envoy.config.rbac.v3 import rbac_pb2
from envoy.config.route.v3 import route_components_pb2
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2 as http_rbac_pb2

from plait.compiler.filters import HttpFilter, optional_filter
from plait.compiler.policies import authorization
from plait.envoy import access, names, proto
from plait.model.security import Action
from plait.model.traffic import ClusterKey
from plait.model.view import InboundMode, OutboundCluster, ServerPort

REFUSING: Final = "plait.refuse"
"""The HTTP filter that answers for servers which would deny the caller; in no request's way unless a route asks."""

Routed = route_components_pb2.Route | route_components_pb2.WeightedCluster.ClusterWeight


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A cluster as routes refer to it; `refused_by` is the rule that denies the caller at all of its servers.

    `caller` is the identity that its apps are told in a header, empty if they are not. `asked` says that they want to
    be told: what they could take for that header is thrown away then.
    """

    name: str
    refused_by: str = ""
    caller: str = ""
    asked: bool = False


Targets = Mapping[ClusterKey, Target]


def of(clusters: Iterable[OutboundCluster], identity: str, *, tells_caller: bool = False) -> Targets:
    """These clusters for a caller of that identity, which their apps are told if they or `tells_caller` ask for it."""
    return {
        item.key: Target(
            name=names.cluster(item.host, item.key.port, item.key.subset),
            refused_by=_refused_by(item.servers, identity),
            caller=identity if (tells_caller or item.tells_caller) and item.identities and not item.mixed else "",
            asked=tells_caller or item.tells_caller,
        )
        for item in clusters
    }


def _refused_by(servers: Iterable[ServerPort], identity: str) -> str:
    decisions = [_decision(server, identity) for server in servers]
    if not decisions or any(decision.allowed for decision in decisions):
        return ""
    return decisions[0].rule


def _decision(server: ServerPort, identity: str) -> access.Decision:
    """What a server that passes bytes decides; one that looks at requests answers for itself."""
    if server.mode is InboundMode.HTTP or not server.policies:
        return access.Decision(allowed=True)
    return access.decide(_rules(server), access.Caller(identity=identity, port=server.port))


def _rules(server: ServerPort) -> list[rbac_pb2.RBAC]:
    place = authorization.Place(port=server.port, http=False)
    compiled = (authorization.rules(server.policies, action, place) for action in (Action.DENY, Action.ALLOW))
    return [item for item in compiled if item is not None]


def epoch(servers: Iterable[ServerPort]) -> str:
    """A text that differs when the connections to servers that pass bytes must be made anew; empty if none does."""
    digest = hashlib.sha256()
    streams = [server for server in servers if server.mode is InboundMode.BYTES]
    for server in streams:
        digest.update(f"{server.port} {server.mutual_tls} {server.listener}".encode())
        digest.update(f" replaced {server.replaced}".encode() if server.replaced else b"")
        for rules in _rules(server):
            digest.update(rules.SerializeToString(deterministic=True))
    return digest.hexdigest()[:16] if streams else ""


def on_route(message: Routed, target: Target) -> None:
    """Gives a route, or a share of it, what its cluster's servers cannot do themselves."""
    if target.refused_by:
        message.typed_per_filter_config[REFUSING].CopyFrom(proto.packed(_refusal(target.refused_by)))
    if target.asked:
        message.request_headers_to_remove.extend(names.CALLER_SPELLINGS)
    if target.caller:
        header = base_pb2.HeaderValue(key=names.CALLER_HEADER, value=proto.literal(f"URI={target.caller}"))
        append = base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
        message.request_headers_to_add.append(base_pb2.HeaderValueOption(header=header, append_action=append))


def _refusal(rule: str) -> http_rbac_pb2.RBACPerRoute:
    """Denies every request, in the words in which Envoy tells the rule that did."""
    rules = rbac_pb2.RBAC(action=rbac_pb2.RBAC.ALLOW)
    if rule != access.NONE:
        rules.action = rbac_pb2.RBAC.DENY
        any_call = rbac_pb2.Policy(
            permissions=[rbac_pb2.Permission(any=True)], principals=[rbac_pb2.Principal(any=True)]
        )
        rules.policies[rule].CopyFrom(any_call)
    return http_rbac_pb2.RBACPerRoute(rbac=http_rbac_pb2.RBAC(rules=rules))


def refusing_filter() -> HttpFilter:
    """The filter for the connection managers of callers."""
    return optional_filter(REFUSING, http_rbac_pb2.RBAC())
