"""Certificates of a server that many machines dial at once."""

from dataclasses import replace
from pathlib import Path

from plait.ads.transport import TlsIdentity, renewals
from tests.ads.live import authority


def test_grpc_is_given_a_certificate_only_when_it_has_changed(tmp_path: Path) -> None:
    """A herd's handshakes replace nothing, which gRPC would not survive; a renewed certificate is given once."""
    own = authority(tmp_path)
    served = own.server_credentials(addresses=["127.0.0.1"])
    identity = TlsIdentity(chain=served.chain, key=served.key, roots=own.bundle)
    current = [identity]
    renewal = renewals(identity, lambda: current[0])

    assert [renewal() for _ in range(100)] == [None] * 100

    renewed = own.server_credentials(addresses=["127.0.0.1"])
    current[0] = replace(identity, chain=renewed.chain, key=renewed.key)

    assert [renewal() is None for _ in range(3)] == [False, True, True]
