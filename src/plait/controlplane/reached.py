"""How clients find and trust this control process: files below STATE/run, written anew whenever the roots change."""

from plait.controlplane.state import Endpoints, StateDirectory
from plait.errors import PlaitError
from plait.identity.authority import CertificateAuthority

LOOPBACK = "127.0.0.1"


def listen_address(text: str | None) -> tuple[str, int] | None:
    """HOST and PORT (0: any) to listen on beside loopback, from HOST, HOST:PORT or [IPv6]:PORT."""
    if not text:
        return None
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]") or (text.count(":") > 1 and not text.startswith("[")):
        host, port = text, "0"
    if not port.isdigit() or int(port) > 65534:
        raise PlaitError(f"--listen {text!r}: the port is not a number up to 65534", "write HOST or HOST:PORT")
    return host.strip("[]"), int(port)


def publish_endpoints(
    state: StateDirectory,
    authority: CertificateAuthority,
    *,
    host: str,
    port: int,
    ads_port: int,
    metrics_port: int,
) -> Endpoints:
    """Write where control answers, the roots to trust it by, and a kubeconfig for its owner."""
    endpoints = Endpoints(
        api_url=f"https://{host}:{port}",
        socket=str(state.api_socket),
        token_file=str(state.token_file),
        kubeconfig=str(state.kubeconfig),
        ads_address=f"{host}:{ads_port}",
        metrics_url=f"http://{LOOPBACK}:{metrics_port}/metrics",
        trust_domain=authority.trust_domain,
        root_fingerprint=authority.fingerprint,
    )
    bundle = authority.bundle.decode()
    state.write_private(state.run / "ca.pem", bundle, 0o644)
    state.write_kubeconfig(f"https://{LOOPBACK}:{port}", bundle, state.owner_token())
    state.publish(endpoints)
    return endpoints
