"""Envoys with the configuration that Istio gives them (`bench/istio/`), static, with a sink for their traces."""

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
CONFIGURATIONS: Final = Path(__file__).parent / "istio"
LISTENERS: Final = {"client": "0.0.0.0_80", "server": "virtualInbound"}
OPTIONS: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


class IstioLike:
    """The program: the Envoy that Plait uses too."""

    name = NAME

    def files(self, side: Side) -> Mapping[str, str]:
        """The configuration of one side."""
        return {"envoy.yaml": yaml.safe_dump(configuration(side), sort_keys=False, width=10000)}

    def command(self, side: Side) -> Sequence[str]:  # noqa: ARG002 - both sides are started alike
        """How Envoy is started, as Plait starts it: one worker."""
        envoy = str(find_envoy(node_settings(os.environ)))
        return [envoy, *bootstrap.arguments("envoy.yaml", log_level="error")]


def pair(places: Places, folder: Path) -> Pair:
    """The pair, and the sink of its traces on the machine."""
    made = Pair(IstioLike(), places, folder)
    sink = folder / "collector"
    listen = f"listen {made.gateway}:{COLLECTOR_PORT};"
    places.start(None, upstream.command(sink, listen), folder=sink)
    return made


def configuration(side: Side) -> dict[str, Any]:
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
    if side.protocol.multiplexed and side.role == "server":
        _to_the_app(found)["typed_extension_protocol_options"] = {
            OPTIONS: {
                "@type": f"type.googleapis.com/{OPTIONS}",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        }
    return found


def _chain(document: dict[str, Any], role: str) -> dict[str, Any]:
    listeners = document["static_resources"]["listeners"]
    listener = next(each for each in listeners if each["name"] == LISTENERS[role])
    return listener["filter_chains"][-1]


def _to_the_app(document: dict[str, Any]) -> dict[str, Any]:
    return document["static_resources"]["clusters"][0]
