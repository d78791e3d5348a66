"""Asks an Envoy (`--mode validate`) what it would say to resources, and finds which of them it would refuse.

What goes to Envoy holds gateways' keys: it is written to a folder that only control's user can read, and removed.
"""

import asyncio
import json
import re
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from envoy.config.route.v3 import scoped_route_pb2
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2
from google.protobuf import json_format

from plait.envoy import names
from plait.envoy.resource_set import Entry, ResourceSet
from plait.envoy.static import static_bootstrap
from plait.envoy.types import CLUSTER, ENDPOINT, LISTENER, ROUTE, SCOPE

_WITHIN: Final = 60.0
_MOST_ALONE: Final = 40
_LEAD: Final = re.compile(r"^\[[^\]]*\]\[[^\]]*\]\[[^\]]*\]\[[^\]]*\] (\[[^\]]*\] )?")
_FILE: Final = re.compile(r"error initializing configuration '[^']*': ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A resource that Envoy refuses; the name is empty if it takes each alone and not all together."""

    resource: str
    message: str


class EnvoyCheck:
    """Judges resource sets by a real Envoy."""

    def __init__(self, binary: Path, folder: Path, secrets: tuple[secret_pb2.Secret, ...]) -> None:
        """`folder` is private; `secrets` stand for those that a proxy gets from its node agent."""
        self._binary = binary
        self._folder = folder
        self._secrets = secrets

    async def refused(self, whole: ResourceSet, fresh: ResourceSet) -> tuple[Refused, ...]:
        """What Envoy refuses of a proxy's whole set, in which `fresh` is new; nothing if it takes it."""
        message = await self._judge(whole)
        if not message:
            return ()
        found = await self._alone(whole, fresh)
        return found or (Refused(resource="", message=message),)

    async def _alone(self, whole: ResourceSet, fresh: ResourceSet) -> tuple[Refused, ...]:
        """Those of the new resources that Envoy refuses by themselves: clusters first, on which the others lean."""
        bad: list[Refused] = []
        clusters = dict(whole.of(CLUSTER))
        for name in list(fresh.of(CLUSTER))[:_MOST_ALONE]:
            if message := await self._judge(_only_cluster(whole, name)):
                bad.append(Refused(resource=name, message=message))
                del clusters[name]
        sound = whole.replaced(CLUSTER, clusters)
        for name, item in list(fresh.of(LISTENER).items())[:_MOST_ALONE]:
            if message := await self._judge(_without_routes(sound).replaced(LISTENER, {name: item})):
                bad.append(Refused(resource=name, message=message))
        refused = {item.resource for item in bad}
        listeners = {name: item for name, item in sound.of(LISTENER).items() if name not in refused}
        sound = sound.replaced(LISTENER, listeners)
        for name in list(fresh.of(ROUTE))[:_MOST_ALONE]:
            if message := await self._judge(_only_route(sound, name)):
                bad.append(Refused(resource=name, message=message))
        return tuple(bad)

    async def _judge(self, resources: ResourceSet) -> str:
        """What Envoy says against a set; empty if it takes it."""
        message = static_bootstrap(resources, secrets=self._secrets)
        text = json.dumps(json_format.MessageToDict(message, preserving_proto_field_name=True))
        with tempfile.TemporaryDirectory(prefix="rehearsal-", dir=self._folder) as folder:
            file = Path(folder) / "bootstrap.json"
            await asyncio.to_thread(file.write_text, text, encoding="utf-8")
            code, said = await _run(self._binary, file)
        return "" if code == 0 else _sentence(said)


async def _run(binary: Path, file: Path) -> tuple[int, str]:
    words = ("--mode", "validate", "-c", str(file), "-l", "error")
    process = await asyncio.create_subprocess_exec(
        binary, *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(_WITHIN):
            said, _ = await process.communicate()
    except TimeoutError:
        return 1, f"it did not judge the configuration within {_WITHIN:g} seconds"
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return process.returncode or 0, said.decode("utf-8", "replace")


def _sentence(said: str) -> str:
    """What Envoy says, without where and when it logged it."""
    lines = [_LEAD.sub("", line).strip() for line in said.splitlines()]
    told = [_FILE.sub("", line) for line in lines if line]
    return told[0] if told else "Envoy ended without a word"


def _only_cluster(whole: ResourceSet, name: str) -> ResourceSet:
    bare = whole.replaced(LISTENER, {}).replaced(ROUTE, {}).replaced(SCOPE, {})
    return bare.replaced(CLUSTER, _picked(whole.of(CLUSTER), name)).replaced(
        ENDPOINT, _picked(whole.of(ENDPOINT), name)
    )


def _without_routes(whole: ResourceSet) -> ResourceSet:
    return whole.replaced(ROUTE, {}).replaced(SCOPE, {})


def _only_route(whole: ResourceSet, name: str) -> ResourceSet:
    leads = {
        key: item
        for key, item in whole.of(SCOPE).items()
        if scoped_route_pb2.ScopedRouteConfiguration.FromString(item.body).route_configuration_name == name
    }
    return whole.replaced(ROUTE, _picked(whole.of(ROUTE), name)).replaced(SCOPE, leads)


def _picked(entries: Mapping[str, Entry], name: str) -> Mapping[str, Entry]:
    return {name: entries[name]} if name in entries else {}


def stand_ins(chain: bytes, key: bytes, roots: bytes) -> tuple[secret_pb2.Secret, ...]:
    """Secrets in the place of those that a node agent gives a proxy."""
    own = secret_pb2.Secret(name=names.IDENTITY_SECRET)
    own.tls_certificate.certificate_chain.inline_bytes = chain
    own.tls_certificate.private_key.inline_bytes = key
    found = [own]
    for name in (names.BUNDLE_SECRET, names.SYSTEM_SECRET):
        found.append(secret_pb2.Secret(name=name))
        found[-1].validation_context.trusted_ca.inline_bytes = roots
    return tuple(found)
