"""Secrets: certificates of gateways. Those of the mesh's own TLS never come from control."""

from envoy.config.core.v3 import base_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, secret_pb2

from plait.envoy import names
from plait.envoy.resource_set import Entry, entry_of
from plait.model.gateways import TlsCertificate


def certificate(item: TlsCertificate) -> Entry:
    """A gateway's certificate chain and key."""
    message = secret_pb2.Secret(
        name=names.gateway_secret(item.name.namespace, item.name.name),
        tls_certificate=common_pb2.TlsCertificate(
            certificate_chain=base_pb2.DataSource(inline_bytes=item.chain),
            private_key=base_pb2.DataSource(inline_bytes=item.key),
        ),
    )
    return entry_of(message.name, message)
