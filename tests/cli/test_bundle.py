"""`plait bundle`, and configuration from a URL: fetched whole, and only what its digest says."""

import datetime
import hashlib
import http.server
import ipaddress
import json
import re
import ssl
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.cli.conftest import Plait
from tests.cli.fake_mesh import FakeMesh

ONE = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one, namespace: default}\n"
TWO = "---\n# the other\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: two, namespace: default}\n"


@contextmanager
def web(files: Mapping[str, str], context: ssl.SSLContext | None = None) -> Generator[str]:
    """A server of these files on loopback; its URL. `TO URL` redirects."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            text = files.get(self.path)
            leads = text.removeprefix("TO ") if text and text.startswith("TO ") else ""
            self.send_response(302 if leads else 200 if text else 404)
            if leads:
                self.send_header("location", leads)
            self.end_headers()
            self.wfile.write((text or "").encode())

        def log_message(self, format: str, *args: object) -> None:
            del format, args

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"{'https' if context else 'http'}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def trusted(tmp_path: Path) -> tuple[ssl.SSLContext, Path]:
    """TLS of a server at 127.0.0.1, and the file of the root that vouches for it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "files")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    chain, secret = tmp_path / "root.pem", tmp_path / "key.pem"
    chain.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, secret)
    return context, chain


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of two files."""
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "b.yaml").write_text(TWO)
    (tmp_path / "conf" / "a.yaml").write_text(ONE)
    return tmp_path


def digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def test_the_same_files_make_the_same_bundle(plait: Plait, folder: Path) -> None:
    """One file with both objects under the names of their files; its digest is what sha256sum would say."""
    told = plait("bundle", "-f", "conf", "--to", "all.yaml")
    again = json.loads(plait("bundle", "-f", "conf", "--to", "again.yaml", "-o", "json").out)

    text = (folder / "all.yaml").read_text()
    assert told.out == f"all.yaml: 2 objects, {digest(text)}\n"
    assert (again["digest"], again["objects"], again["bytes"]) == (digest(text), 2, len(text))
    assert re.findall(r"# from (\S+)", text) == ["a.yaml", "b.yaml"]
    assert [each["metadata"]["name"] for each in yaml.safe_load_all(text)] == ["one", "two"]


@pytest.mark.parametrize(
    ("path", "what"), [("-", "standard input"), ("https://127.0.0.1:1/a", "https://127.0.0.1:1/a")]
)
def test_only_files_are_bundled(plait: Plait, path: str, what: str) -> None:
    """What would be read twice might differ; it is told to save it first."""
    outcome = plait("bundle", "-f", path, "--to", "all.yaml", stdin=ONE)

    assert (outcome.code, outcome.err.splitlines()) == (
        2,
        [f"error: {what} is no file", "  hint: a bundle is made of files: save it first"],
    )


def test_mistakes_are_not_bundled(plait: Plait, folder: Path) -> None:
    """A mistake is told at its line, and no bundle is written."""
    (folder / "conf" / "b.yaml").write_text(TWO.replace("metadata", "metadatas"))

    outcome = plait("bundle", "-f", "conf", "--to", "all.yaml")

    assert outcome.code == 1
    assert "conf/b.yaml:" in outcome.err
    assert not (folder / "all.yaml").exists()


def test_only_what_the_digest_says_is_applied(plait: Plait, mesh: FakeMesh, folder: Path) -> None:
    """From a file: the right digest applies it, another applies nothing and says what it is."""
    plait("bundle", "-f", "conf", "--to", "all.yaml")
    text = (folder / "all.yaml").read_text()

    wrong = plait("apply", "-f", "all.yaml", "--digest", digest("something else"))
    assert (wrong.code, wrong.out) == (1, "")
    assert f"error: all.yaml has another digest: {digest(text)}; nothing was changed" in wrong.err
    assert plait("get", "configmap", "one").code == 4
    assert plait("apply", "-f", "all.yaml", "--digest", f"sha256:{digest(text)[7:].upper()}", "--dry-run").code == 0

    assert (
        plait("apply", "-f", "all.yaml", "--digest", digest(text)).out
        == "configmap/one created\nconfigmap/two created\n"
    )


def test_http_needs_a_digest(plait: Plait, mesh: FakeMesh) -> None:
    """What anybody on the way may change is applied with its digest only; lines are those at the URL."""
    with web({"/one.yaml": ONE, "/bad.yaml": ONE.replace("metadata", "metadatas")}) as url:
        bare = plait("apply", "-f", f"{url}/one.yaml")
        checked = plait("apply", "-f", f"{url}/one.yaml", "--digest", digest(ONE))
        changed = plait("apply", "-f", f"{url}/bad.yaml", "--digest", digest(ONE))

    assert (bare.code, bare.err.splitlines()[0]) == (
        2,
        f"error: {url}/one.yaml is not encrypted: anybody on the way may change it",
    )
    assert (checked.code, checked.out) == (0, "configmap/one created\n")
    assert (changed.code, changed.out) == (1, "")


def test_https_is_believed_if_its_certificate_is(
    plait: Plait, mesh: FakeMesh, trusted: tuple[ssl.SSLContext, Path]
) -> None:
    """A server that a trusted root vouches for needs no digest; a stranger, and a way out of https, are refused."""
    context, root = trusted
    ways = {"/one.yaml": ONE}
    back: dict[str, str] = {"/one.yaml": ONE}
    with web(back) as plain, web(ways, context) as url:
        ways["/away"], ways["/round"] = f"TO {plain}/one.yaml", f"TO {plain}/back"
        back["/back"] = f"TO {url}/one.yaml"
        known = plait("apply", "-f", f"{url}/one.yaml", SSL_CERT_FILE=str(root))
        stranger = plait("apply", "-f", f"{url}/one.yaml")
        away = plait("apply", "-f", f"{url}/away", SSL_CERT_FILE=str(root))
        around = plait("apply", "-f", f"{url}/round", SSL_CERT_FILE=str(root))
        missing = plait("apply", "-f", f"{url}/two.yaml", SSL_CERT_FILE=str(root))

    assert (known.code, known.out) == (0, "configmap/one created\n")
    assert (stranger.code, "cannot be fetched" in stranger.err) == (3, True)
    assert (away.code, "which is not encrypted" in away.err) == (2, True)
    assert (around.code, "which is not encrypted" in around.err) == (2, True)
    assert (missing.code, "answers 404" in missing.err) == (3, True)


@pytest.mark.parametrize(
    "case",
    [
        (("-f", "conf", "--digest", "sha256:" + "0" * 64), "conf cannot be read: Is a directory"),
        (("-f", "conf/a.yaml", "--digest", "md5:1"), "`md5:1` is no digest"),
        (("-f", "conf/a.yaml", "conf/b.yaml", "--digest", "sha256:" + "0" * 64), "--digest is for one file"),
        (("-f", "ftp://example.org/a.yaml"), "ftp://example.org/a.yaml cannot be fetched"),
        (("-f", "http://127.0.0.1:1/a", "--digest", "sha256:" + "0" * 64), "cannot be fetched"),
    ],
)
def test_mistakes_with_digests_are_told(
    plait: Plait, mesh: FakeMesh, folder: Path, case: tuple[tuple[str, ...], str]
) -> None:
    """Each says what is wrong; nothing is applied."""
    words, says = case
    outcome = plait("apply", *words)

    assert outcome.code != 0
    assert says in outcome.err
    assert "plait itself failed" not in outcome.err
