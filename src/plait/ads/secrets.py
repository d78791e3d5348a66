"""The secrets that a relay adds for its own machine: the workload's certificate and key, and the mesh's roots."""

from collections.abc import Mapping

from envoy.config.core.v3 import base_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, secret_pb2

from plait.envoy import names
from plait.envoy.resource_set import Entry, entry_of


def identity_secrets(chain: bytes, key: bytes, bundle: bytes) -> Mapping[str, Entry]:
    """The secrets `identity` (chain and key, PEM) and `bundle` (roots, PEM), for `Relay.set_secrets`."""
    certificate = common_pb2.TlsCertificate(certificate_chain=_inline(chain), private_key=_inline(key))
    validation = common_pb2.CertificateValidationContext(trusted_ca=_inline(bundle))
    secrets = (
        secret_pb2.Secret(name=names.IDENTITY_SECRET, tls_certificate=certificate),
        secret_pb2.Secret(name=names.BUNDLE_SECRET, validation_context=validation),
    )
    return {secret.name: entry_of(secret.name, secret) for secret in secrets}


def _inline(content: bytes) -> base_pb2.DataSource:
    return base_pb2.DataSource(inline_bytes=content)
