"""The bench's mesh, its Istio-like pair and its change."""

import subprocess
from pathlib import Path
from string import Template

import pytest

from bench import control, paths, streams, upstream
from plait.identity import spiffe
from plait.identity.authority import open_authority
from plait.identity.svid import new_key, signing_request
from plait.node.settings import NodeSettings, find_envoy


def test_a_change_is_written_once_for_each_caller() -> None:
    """A small mesh of the bench: the change reaches ten proxies, and each gets one endpoint set."""
    builder = control.built(control.documents(services=120, workloads=4))

    row = streams.one_endpoint(builder)

    assert row.holds is not None
    assert row.value > 0


def test_every_document_of_the_bench_is_valid() -> None:
    """Nothing is skipped as mistaken, which would make the build look cheap."""
    mesh = control.documents(services=3, workloads=2)

    assert len(control.parsed(mesh)) == 9


def test_nginx_answers_one_kilobyte(tmp_path: Path) -> None:
    """The response's body has the documented size."""
    text = upstream.configuration(tmp_path, "8080")

    assert f'"{"x" * 1024}"' in text


@pytest.mark.integration
@pytest.mark.parametrize("side", ["client", "server"])
def test_the_istio_like_pair_is_valid(tmp_path: Path, side: str) -> None:
    """Envoy takes both configurations."""
    authority = open_authority(tmp_path / "ca", "cluster.local")
    key = new_key()
    chain = authority.sign(signing_request(key), spiffe.workload_id("cluster.local", "default", "web"))
    values = {"ADDRESS": "10.1.0.2", "SERVER": "10.1.0.3", "GATEWAY": "10.1.0.1", "COLLECTOR": "4318"}
    text = Template((paths.CONFIGURATIONS / f"{side}.yaml").read_text()).safe_substitute(values)
    for name, content in {"chain.pem": chain, "key.pem": key, "roots.pem": authority.bundle}.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "envoy.yaml").write_text(text)
    envoy = find_envoy(NodeSettings(state_dir=tmp_path))

    done = subprocess.run(
        [str(envoy), "--mode", "validate", "-c", "envoy.yaml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-500:]
