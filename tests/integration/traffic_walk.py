"""A random walk over objects of traffic management in which every step leaves each call somebody to answer it.

Versions of the workloads of service `one` are told by the label `version`. A VirtualService names only subsets that its
DestinationRule has before and after a step; what one call to the API changes is one step.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

Object = dict[str, Any]
GATEWAY_API, NETWORKING = "gateway.networking.k8s.io", "networking.istio.io"
SUBSETS: Final = {"first": {"version": "v1"}, "second": {"version": "v2"}, "both": {"app": "web"}}
LEVELS: Final[Sequence[Object]] = (
    {},
    {"loadBalancer": {"simple": "ROUND_ROBIN"}},
    {"loadBalancer": {"consistentHash": {"httpHeaderName": "x-user"}}, "connectionPool": {"http": {"maxRetries": 7}}},
    {"connectionPool": {"tcp": {"connectTimeout": "3s"}, "http": {"http2MaxRequests": 500}}},
    {"outlierDetection": {"consecutive5xxErrors": 50}, "tls": {"mode": "ISTIO_MUTUAL"}},
    {"portLevelSettings": [{"port": {"number": 80}, "loadBalancer": {"simple": "RANDOM"}}]},
)


def made(api_version: str, kind: str, name: str, **spec: Any) -> Object:
    """An object of namespace default."""
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec}


@dataclass
class Walk:
    """Steps from a seed; `apply` puts objects into force together, `delete` takes one away if it is there."""

    chance: random.Random
    apply: Callable[[Sequence[Object]], None]
    delete: Callable[[str, str, str], None]
    tls: Mapping[str, Any]
    subsets: frozenset[str] = frozenset()
    used: frozenset[str] = frozenset()
    taken: list[str] = field(default_factory=list[str])

    def step(self) -> None:
        """One change, or several at once."""
        deed = self.chance.choice(self._deeds())
        self.taken.append(deed.__name__)
        deed()

    def clear(self) -> None:
        """Takes away what the walk has made."""
        for kind in ("virtualservices", "destinationrules", "sidecars"):
            for name in ("one", "entry", "default"):
                self.delete(NETWORKING, kind, name)
        for kind in ("httproutes", "grpcroutes", "tcproutes"):
            self.delete(GATEWAY_API, kind, "one")
        self.subsets = self.used = frozenset()

    def _deeds(self) -> Sequence[Callable[[], None]]:
        return (
            self.destination_rule,
            self.virtual_service,
            self.both_at_once,
            self.both_in_a_row,
            self.routes_of_the_gateway_api,
            self.route_gone,
            self.rules_gone,
            self.service_entry,
            self.sidecar,
            self.backend_tls,
        )

    def destination_rule(self) -> None:
        """Subsets come and go, those in use stay; policies change."""
        self.subsets = self.used | self._some()
        self.apply([self._rule()])

    def virtual_service(self) -> None:
        """Calls go to other subsets."""
        self.used = self._some() & self.subsets
        self.apply([self._virtual()])

    def both_at_once(self) -> None:
        """Other subsets and calls to them in one step, whichever comes first in it."""
        self.subsets = self._some() | {self.chance.choice(list(SUBSETS))}
        self.used = self._some() & self.subsets
        documents = [self._virtual(), self._rule()]
        self.chance.shuffle(documents)
        self.apply(documents)

    def both_in_a_row(self) -> None:
        """A subset is made, used and taken away, as fast as the API takes it."""
        new = self.chance.choice(list(SUBSETS))
        before = self.used
        self.subsets |= {new}
        self.apply([self._rule()])
        self.used = frozenset({new})
        self.apply([self._virtual()])
        self.used = before
        self.apply([self._virtual()])
        self.subsets = before
        self.apply([self._rule()])

    def rules_gone(self) -> None:
        """The VirtualService is deleted, then what it named."""
        self.delete(NETWORKING, "virtualservices", "one")
        self.used = frozenset()
        self.delete(NETWORKING, "destinationrules", "one")
        self.subsets = frozenset()

    def routes_of_the_gateway_api(self) -> None:
        """HTTPRoute, GRPCRoute and TCPRoute split calls between two names of the same servers."""
        kind, services, port = self.chance.choice(
            [
                ("HTTPRoute", ("one", "two"), 80),
                ("GRPCRoute", ("rpc", "rpc-b"), 9001),
                ("TCPRoute", ("tcp", "tcp-b"), 9000),
            ]
        )
        weight = self.chance.choice([0, 1, 50, 100])
        backends = [
            {"name": name, "port": port, "weight": share}
            for name, share in zip(services, (weight, 100 - weight), strict=True)
        ]
        version = "v1" if kind != "TCPRoute" else "v1alpha2"
        parent = {"group": "", "kind": "Service", "name": services[0]}
        spec = {"parentRefs": [parent], "rules": [{"backendRefs": backends}]}
        self.apply([made(f"{GATEWAY_API}/{version}", kind, "one", **spec)])

    def route_gone(self) -> None:
        """One of the routes is deleted."""
        self.delete(GATEWAY_API, self.chance.choice(["httproutes", "grpcroutes", "tcproutes"]), "one")

    def service_entry(self) -> None:
        """A name of the same workloads: all, or those of a version; with a policy of its own, or without."""
        chosen = self.chance.choice(list(SUBSETS.values()))
        self.apply([entry(chosen, more=self.chance.random() < 0.5)])
        if self.chance.random() < 0.5:
            policy = self.chance.choice(LEVELS)
            self.apply([made(f"{NETWORKING}/v1", "DestinationRule", "entry", host="entry.test", trafficPolicy=policy)])
        else:
            self.delete(NETWORKING, "destinationrules", "entry")

    def sidecar(self) -> None:
        """A bound that always has what is called."""
        mode = {"mode": self.chance.choice(["ALLOW_ANY", "REGISTRY_ONLY"])}
        hosts = self.chance.choice([["*/*"], ["./*"], ["./*", "istio-system/*"]])
        bound = made(f"{NETWORKING}/v1", "Sidecar", "default", egress=[{"hosts": hosts}], outboundTrafficPolicy=mode)
        if self.chance.random() < 0.3:
            self.delete(NETWORKING, "sidecars", "default")
        else:
            self.apply([bound])

    def backend_tls(self) -> None:
        """The server with TLS must prove one of its names."""
        validation = dict(self.tls)
        if self.chance.random() < 0.5:
            validation |= {
                "hostname": "asked.test",
                "subjectAltNames": [{"type": "Hostname", "hostname": "secure.test"}],
            }
        self.apply([backend_tls_policy(validation)])

    def _some(self) -> frozenset[str]:
        return frozenset(name for name in SUBSETS if self.chance.random() < 0.5)

    def _rule(self) -> Object:
        names = self.chance.sample(sorted(self.subsets), len(self.subsets))
        subsets = [
            {"name": name, "labels": SUBSETS[name], "trafficPolicy": self.chance.choice(LEVELS[:4])} for name in names
        ]
        policy = self.chance.choice(LEVELS)
        return made(f"{NETWORKING}/v1", "DestinationRule", "one", host="one", subsets=subsets, trafficPolicy=policy)

    def _virtual(self) -> Object:
        places: list[Object] = [{"host": "one", "subset": name} for name in sorted(self.used)] or [{"host": "one"}]
        weights = [self.chance.randrange(1, 100) for _ in places]
        shares = [{"destination": place, "weight": weight} for place, weight in zip(places, weights, strict=True)]
        special: Object = {
            "match": [{"headers": {"x-user": {"exact": "nobody"}}}],
            "route": [{"destination": {"host": "two"}}],
        }
        rules: list[Object] = [{"route": shares, "retries": {"attempts": 0}}]
        return made(f"{NETWORKING}/v1", "VirtualService", "one", hosts=["one"], http=[special, *rules])


def entry(labels: Mapping[str, str], *, more: bool) -> Object:
    """The ServiceEntry `entry.test` of workloads with these labels, with a second port or without."""
    ports = [{"number": 80, "name": "http", "protocol": "HTTP", "targetPort": 8000}]
    ports += [{"number": 81, "name": "http-more", "protocol": "HTTP", "targetPort": 8000}] if more else []
    fields: Object = {"hosts": ["entry.test"], "ports": ports, "location": "MESH_INTERNAL", "resolution": "STATIC"}
    return made(f"{NETWORKING}/v1", "ServiceEntry", "entry", **fields, workloadSelector={"labels": dict(labels)})


def backend_tls_policy(validation: Mapping[str, Any]) -> Object:
    """The policy of service `secure`."""
    target = {"group": "", "kind": "Service", "name": "secure"}
    return made(f"{GATEWAY_API}/v1", "BackendTLSPolicy", "secure", targetRefs=[target], validation=dict(validation))
