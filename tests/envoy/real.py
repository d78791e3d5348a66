"""A real Envoy for tests: judging a bootstrap, or running one on loopback."""

import json
import subprocess
from pathlib import Path

from envoy.config.core.v3 import base_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, secret_pb2
from google.protobuf import json_format

from plait.envoy import names
from plait.envoy.resource_set import ResourceSet
from plait.envoy.static import static_bootstrap
from tests.envoy import certificates

ENVOY = Path(__file__).parents[2] / ".venv/bin/envoy"


def secrets(authority: certificates.TestAuthority, uri: str) -> list[secret_pb2.Secret]:
    """The secrets that a node agent would give a proxy of that identity."""
    chain, key = authority.leaf(uri)
    return [
        secret_pb2.Secret(
            name=names.IDENTITY_SECRET,
            tls_certificate=common_pb2.TlsCertificate(
                certificate_chain=base_pb2.DataSource(inline_bytes=chain),
                private_key=base_pb2.DataSource(inline_bytes=key),
            ),
        ),
        secret_pb2.Secret(
            name=names.BUNDLE_SECRET,
            validation_context=common_pb2.CertificateValidationContext(
                trusted_ca=base_pb2.DataSource(inline_bytes=authority.bundle)
            ),
        ),
        secret_pb2.Secret(
            name=names.SYSTEM_SECRET,
            validation_context=common_pb2.CertificateValidationContext(
                trusted_ca=base_pb2.DataSource(inline_bytes=authority.bundle)
            ),
        ),
    ]


def validate(resources: ResourceSet, folder: Path) -> str:
    """What Envoy says against a resource set; empty if it accepts it."""
    authority = certificates.shared()
    message = static_bootstrap(resources, secrets=secrets(authority, "spiffe://cluster.local/ns/default/sa/test"))
    return validate_document(json_format.MessageToDict(message, preserving_proto_field_name=True), folder)


def validate_document(document: dict[str, object], folder: Path) -> str:
    """What Envoy says against a bootstrap; empty if it accepts it."""
    file = folder / "bootstrap.json"
    file.write_text(json.dumps(document))
    done = subprocess.run(
        [ENVOY, "--mode", "validate", "-c", str(file), "-l", "error"],
        check=False,
        capture_output=True,
        text=True,
        timeout=20,
    )
    return "" if done.returncode == 0 else done.stderr + done.stdout
