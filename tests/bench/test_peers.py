"""The peers: their configurations are taken, they carry every protocol, and they let no stranger in."""

import os
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest
from cryptography import x509

from bench import calls, credentials, haproxy, istio_like, load, nginx, packages, peers, places
from bench.calls import Call
from bench.peers import Side
from plait.node.settings import NodeSettings, find_envoy

PROGRAMS = (haproxy.HAProxy(), nginx.Nginx(), istio_like.IstioLike(), istio_like.IstioLike(upgraded=True))
RUN = load.Run(seconds=1)
names = pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
protocols = pytest.mark.parametrize("protocol", calls.PROTOCOLS, ids=lambda protocol: protocol.name)


def side(folder: Path, protocol: calls.Protocol, role: str = "client") -> Side:
    """One side of a pair that is not started."""
    return Side(role=role, address="10.1.0.2", server="10.1.0.3", gateway="10.1.0.1", folder=folder, protocol=protocol)


def test_leaves_carry_their_name_in_every_form_that_a_peer_checks() -> None:
    """Envoy reads the SPIFFE id, HAProxy and nginx the common name of a caller and the DNS name of a server."""
    files = credentials.Authority().files("web")

    leaf = x509.load_pem_x509_certificate(files["chain.pem"])
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert leaf.subject.rfc4514_string() == "CN=web.default"
    assert names.get_values_for_type(x509.DNSName) == ["web.default"]
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://cluster.local/ns/default/sa/web"]


@pytest.mark.parametrize("configured", [haproxy.configuration, nginx.configuration], ids=["HAProxy", "nginx"])
def test_both_peers_use_the_cipher_of_envoy_and_check_the_caller(configured: object, tmp_path: Path) -> None:
    """No peer is cheaper because it checks less or encrypts otherwise."""
    assert callable(configured)
    for protocol in calls.PROTOCOLS:
        out, inward = (str(configured(side(tmp_path, protocol, role))) for role in ("client", "server"))

        assert "TLS_AES_128_GCM_SHA256" in out
        assert "TLS_AES_128_GCM_SHA256" in inward
        assert "client.default" in inward
        assert "roots.pem" in out


def test_only_grpc_is_spoken_over_http2_between_nginx_pairs(tmp_path: Path) -> None:
    """nginx calls over HTTP/1.1, so HTTP/2 callers are answered from the port that speaks it."""
    inward = nginx.configuration(side(tmp_path, calls.HTTP2, "server"))

    assert f"127.0.0.1:{calls.HTTP1.app_port}" in inward
    assert "grpc_pass grpcs://web" in nginx.configuration(side(tmp_path, calls.GRPC))


def test_a_port_declared_tcp_has_no_http_in_the_istio_like_pair(tmp_path: Path) -> None:
    """The filters of HTTP are replaced on that port, the network RBAC stays."""
    for role in ("client", "server"):
        text = str(istio_like.configuration(side(tmp_path, calls.TCP, role)))

        assert "http_connection_manager" not in text
    assert "network.rbac" in str(istio_like.configuration(side(tmp_path, calls.TCP, "server")))


def test_the_istio_like_pair_upgrades_http1_only_where_it_is_asked_to(tmp_path: Path) -> None:
    """Istio speaks the app's protocol between sidecars unless the mesh sets h2UpgradePolicy."""
    installed, asked = (
        str(istio_like.configuration(side(tmp_path, calls.HTTP1), upgraded=upgraded)) for upgraded in (False, True)
    )
    of_grpc = str(istio_like.configuration(side(tmp_path, calls.GRPC)))

    assert "http2_protocol_options" not in installed
    assert "'alpn_protocols': ['http/1.1']" in installed
    for text in (asked, of_grpc):
        assert "http2_protocol_options" in text
        assert "'alpn_protocols': ['h2']" in text


@pytest.mark.integration
@protocols
@pytest.mark.parametrize("role", ["client", "server"])
def test_the_istio_like_pair_is_valid(tmp_path: Path, role: str, protocol: calls.Protocol) -> None:
    """Envoy takes both configurations, whatever is spoken."""
    program = istio_like.IstioLike()
    written = {name: text.encode() for name, text in program.files(side(tmp_path, protocol, role)).items()}
    for name, content in {**written, **credentials.Authority().files("web")}.items():
        (tmp_path / name).write_bytes(content)
    envoy = find_envoy(NodeSettings(state_dir=tmp_path))

    done = subprocess.run(
        [str(envoy), "--mode", "validate", "-c", "envoy.yaml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-500:]


@pytest.fixture
def own(tmp_path: Path) -> Generator[places.Places]:
    """Places of the bench's own, in a folder that a sidecar's user may enter."""
    if os.geteuid() or packages.missing([packages.LOAD, packages.HAPROXY, packages.NGINX]):
        pytest.skip("needs root, haproxy, nginx-light, libnginx-mod-stream and nghttp2-client")
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    with places.places(tmp_path) as made:
        yield made


@pytest.mark.long
@pytest.mark.timeout(90)
@names
def test_a_pair_answers_its_client_in_every_protocol(
    own: places.Places, tmp_path: Path, program: peers.Program
) -> None:
    """Every call through both sidecars is answered with 200, saturated and at a fixed rate."""
    path = peers.Pair(program, own, tmp_path).path()
    for protocol in calls.PROTOCOLS:
        call = Call(protocol=protocol)
        path.restart(protocol)
        path.prepare(call)

        for seen in (load.saturate(path.target(call), RUN), load.pace(path.target(call), RUN, rate=100)):
            assert (seen.failed, seen.requests > 50) == (0, True), protocol.name


@pytest.mark.long
@pytest.mark.timeout(60)
@names
def test_a_pair_lets_no_stranger_in(own: places.Places, tmp_path: Path, program: peers.Program) -> None:
    """A caller with a certificate of the same authority but another name gets no answer of the app."""
    path = peers.Pair(program, own, tmp_path, caller="stranger").path()
    for protocol in (calls.HTTP1, calls.TCP):
        path.restart(protocol)

        with pytest.raises(RuntimeError, match="no answer"):
            path.prepare(Call(protocol=protocol), within=3)
