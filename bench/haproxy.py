"""HAProxy as a pair of sidecars, as a competent operator would set it up.

One thread, as Envoy has one worker; TLS 1.3 with Envoy's cipher, sessions kept on both sides; HTTP/2 between the
sidecars, connections reused among callers; the caller's name checked and handed on. What 2.6 lacks of a mesh: it sees
the subject of a certificate, not a SPIFFE id; its metrics are per frontend and server, not per caller; certificates
and the list of services change by reload or by commands on its socket, which nobody sends here.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from bench import calls
from bench.credentials import short_name
from bench.peers import CAPTURED_IN, CAPTURED_OUT, CIPHER, Side

NAME: Final = "HAProxy"
_GLOBAL: Final = f"""global
  nbthread 1
  maxconn 4096
  ssl-default-bind-options ssl-min-ver TLSv1.3
  ssl-default-bind-ciphersuites {CIPHER}
  ssl-default-server-options ssl-min-ver TLSv1.3
  ssl-default-server-ciphersuites {CIPHER}
defaults
  timeout connect 10s
  timeout client 600s
  timeout server 600s
  retries 2
"""
_HTTP: Final = """  mode http
  timeout http-keep-alive 600s
  http-reuse always
  retry-on conn-failure empty-response
  unique-id-format %{+X}o%ci%cp%Ts%rt
"""


class HAProxy:
    """The program."""

    name = NAME

    def files(self, side: Side) -> Mapping[str, str]:
        """The configuration of one side."""
        return {"haproxy.cfg": configuration(side)}

    def command(self, side: Side) -> Sequence[str]:  # noqa: ARG002 - both sides are started alike
        """One process in the foreground."""
        return ["/usr/sbin/haproxy", "-db", "-q", "-f", "haproxy.cfg"]


def configuration(side: Side) -> str:
    """The configuration of one side."""
    mode = "  mode tcp\n" if side.protocol is calls.TCP else _HTTP
    return _GLOBAL + mode + (_client(side) if side.outbound else _server(side))


def _client(side: Side) -> str:
    name = short_name("web")
    secured = f"ssl crt both.pem ca-file roots.pem verify required verifyhost {name} sni str({name})"
    accepted = " proto h2" if side.protocol.multiplexed else ""
    told: tuple[str, ...] = ("unique-id-header x-request-id", "option forwardfor")
    opaque = side.protocol is calls.TCP
    if side.protocol is calls.HTTP1:
        # What came over HTTP/2 has no reason phrase, without which h2load takes no status of HTTP/1.1 for one.
        told = (*told, "http-response set-status 200 reason OK if { status 200 }")
    return _lines(
        "frontend out",
        f"  bind :{CAPTURED_OUT}{accepted}",
        *(f"  {line}" for line in told if not opaque),
        "  default_backend web",
        "backend web",
        f"  server web {side.server}:{side.protocol.app_port} {secured}{'' if opaque else ' alpn h2'}",
    )


def _server(side: Side) -> str:
    allowed = f"{{ ssl_c_s_dn(cn) -m str {short_name('client')} }}"
    spoken = " proto h2" if side.protocol.multiplexed else ""
    opaque = side.protocol is calls.TCP
    checked = (
        [f"tcp-request session reject unless {allowed}"]
        if opaque
        else [
            f"http-request deny unless {allowed}",
            "http-request set-header x-forwarded-client-cert Subject=%[ssl_c_s_dn(cn)]",
        ]
    )
    alpn = "" if opaque else " alpn h2,http/1.1"
    return _lines(
        "frontend in",
        f"  bind :{CAPTURED_IN} ssl crt both.pem ca-file roots.pem verify required{alpn}",
        *(f"  {line}" for line in checked),
        "  default_backend app",
        "backend app",
        f"  server app 127.0.0.1:{side.protocol.app_port}{spoken}",
    )


def _lines(*lines: str) -> str:
    return "".join(f"{line}\n" for line in lines)
