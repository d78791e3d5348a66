"""Where a route comes from, kept in its metadata so that a proxy's configuration leads back to the user's YAML."""

from envoy.config.core.v3 import base_pb2

from plait.envoy import names, proto
from plait.model.ids import Origin


def metadata(origin: Origin, rule: str) -> base_pb2.Metadata:
    """Metadata naming the object and the field that a rule was written in; no file and line, which move."""
    text = f"{origin.kind} {origin.namespace}/{origin.name} {origin.path}".rstrip()
    return proto.metadata(names.METADATA, (("origin", text), ("rule", rule)))
