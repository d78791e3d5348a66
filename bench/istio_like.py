"""Envoys with the configuration that Istio gives them (`bench/istio/`), static, with a sink for their traces.

Istio's sidecars speak HTTP/1.1 with each other for an app that does, unless the mesh sets `h2UpgradePolicy: UPGRADE`
(its default is DO_NOT_UPGRADE). The pair is measured both ways: HTTP/2 between sidecars costs less when they are
saturated, since many requests share a TLS record.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any, Final

import yaml

from bench import calls, upstream
from bench.peers import Pair, Side
from bench.places import COLLECTOR_PORT, Places
from plait.envoy import bootstrap
from plait.node.settings import find_envoy
from plait.node.settings import load as node_settings

NAME: Final = "Istio-like"
UPGRADED: Final = "Istio-like-h2"
"""The same with HTTP/2 between the two sidecars whatever the app speaks."""
CONFIGURATIONS: Final = Path(__file__).parent / "istio"
LISTENERS: Final = {"client": "0.0.0.0_80", "server": "virtualInbound"}
OPTIONS: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


class IstioLike:
    """The program: the Envoy that Plait uses too; `upgraded` with HTTP/2 between the two for every app."""

    def __init__(self, *, upgraded: bool = False) -> None:
        self._upgraded = upgraded
        self.name = UPGRADED if upgraded else NAME

    def files(self, side: Side) -> Mapping[str, str]:
        """The configuration of one side."""
        return {
            "envoy.yaml": yaml.safe_dump(configuration(side, upgraded=self._upgraded), sort_keys=False, width=10000)
        }

    def command(self, side: Side) -> Sequence[str]:  # noqa: ARG002 - both sides are started alike
        """How Envoy is started, as Plait starts it: one worker."""
        envoy = str(find_envoy(node_settings(os.environ)))
        return [envoy, *bootstrap.arguments("envoy.yaml", log_level="error")]


def pairs(places: Places, folder: Path) -> tuple[Pair, ...]:
    """Both pairs, and the sink of their traces on the machine."""
    made = tuple(Pair(IstioLike(upgraded=upgraded), places, folder) for upgraded in (False, True))
    sink = folder / "collector"
    listen = f"listen {made[0].gateway}:{COLLECTOR_PORT};"
    places.start(None, upstream.command(sink, listen), folder=sink)
    return made


def configuration(side: Side, *, upgraded: bool = False) -> dict[str, Any]:
    """The file of this side, changed to what Istio sends for the port's protocol."""
    values = {
        "ADDRESS": side.address,
        "SERVER": side.server,
        "GATEWAY": side.gateway,
        "COLLECTOR": str(COLLECTOR_PORT),
        "PORT": str(side.protocol.port),
        "APP": str(side.protocol.app_port),
    }
    text = (CONFIGURATIONS / f"{side.role}.yaml").read_text()
    found: dict[str, Any] = yaml.safe_load(Template(text).safe_substitute(values))
    if side.protocol is calls.TCP:
        _chain(found, side.role)["filters"] = yaml.safe_load((CONFIGURATIONS / "tcp.yaml").read_text())[side.role]
    if side.protocol.multiplexed or (upgraded and side.outbound):
        _called(found)["typed_extension_protocol_options"] = {
            OPTIONS: {
                "@type": f"type.googleapis.com/{OPTIONS}",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        }
        if side.outbound:
            _mutual_tls(found)["alpn_protocols"] = ["h2"]
    return found


def _chain(document: dict[str, Any], role: str) -> dict[str, Any]:
    listeners = document["static_resources"]["listeners"]
    listener = next(each for each in listeners if each["name"] == LISTENERS[role])
    return listener["filter_chains"][-1]


def _called(document: dict[str, Any]) -> dict[str, Any]:
    """The cluster of the called service (caller's side), or of the app (server's side)."""
    return document["static_resources"]["clusters"][0]


def _mutual_tls(document: dict[str, Any]) -> dict[str, Any]:
    return _called(document)["transport_socket_matches"][0]["transport_socket"]["typed_config"]["common_tls_context"]
