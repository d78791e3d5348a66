"""nginx as a pair of sidecars, as a competent operator would set it up.

One worker, as Envoy has one; TLS 1.3 with Envoy's cipher, sessions kept on both sides; connections to the other sidecar
and to the app kept open. nginx 1.22 speaks HTTP/1.1 to whatever it calls, except gRPC, which it speaks over HTTP/2 one
call a connection at a time: so HTTP/2 callers are answered from the app's HTTP/1.1 port. What it lacks of a mesh: it
sees the subject of a certificate, not a SPIFFE id; of metrics it has counts of connections; configuration and
certificates change by reload.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from bench import calls
from bench.credentials import short_name
from bench.peers import CAPTURED_IN, CAPTURED_OUT, CIPHER, Side

NAME: Final = "nginx"
_KEPT: Final = "keepalive 64; keepalive_requests 1000000000; keepalive_timeout 600s;"
_HTTP: Final = """  access_log off;
  tcp_nodelay on;
  keepalive_requests 1000000000;
  keepalive_timeout 600s;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
"""
_BUFFERS: Final = "proxy_http_version 1.1; proxy_buffers 16 16k; proxy_max_temp_file_size 0; proxy_read_timeout 600s;"


class Nginx:
    """The program."""

    name = NAME

    def files(self, side: Side) -> Mapping[str, str]:
        """The configuration of one side."""
        return {"nginx.conf": configuration(side)}

    def command(self, side: Side) -> Sequence[str]:
        """A main process in the foreground and its worker."""
        folder = str(side.folder)
        return ["/usr/sbin/nginx", "-p", folder, "-e", f"{folder}/nginx.log", "-c", f"{folder}/nginx.conf"]


def configuration(side: Side) -> str:
    """The configuration of one side."""
    stream = side.protocol is calls.TCP
    module = "load_module /usr/lib/nginx/modules/ngx_stream_module.so;\n" if stream else ""
    head = f"{module}daemon off;\nworker_processes 1;\npid nginx.pid;\nevents {{ worker_connections 4096; }}\n"
    if stream:
        return head + "stream {\n" + (_stream_out(side) if side.outbound else _stream_in(side)) + "}\n"
    return head + "http {\n" + _HTTP + (_http_out(side) if side.outbound else _http_in(side)) + "}\n"


def _app_port(side: Side) -> int:
    return (calls.HTTP1 if side.protocol is calls.HTTP2 else side.protocol).app_port


def _verb(side: Side) -> str:
    return "grpc" if side.protocol is calls.GRPC else "proxy"


def _called(verb: str) -> str:
    """The directives of a connection to the other sidecar."""
    return f"""
      {verb}_ssl_certificate chain.pem;
      {verb}_ssl_certificate_key key.pem;
      {verb}_ssl_trusted_certificate roots.pem;
      {verb}_ssl_verify on;
      {verb}_ssl_name {short_name("web")};
      {verb}_ssl_server_name on;
      {verb}_ssl_protocols TLSv1.3;
      {verb}_ssl_conf_command Ciphersuites {CIPHER};
      {verb}_ssl_session_reuse on;
"""


_ACCEPTED: Final = f"""
    ssl_certificate chain.pem;
    ssl_certificate_key key.pem;
    ssl_client_certificate roots.pem;
    ssl_verify_client on;
    ssl_protocols TLSv1.3;
    ssl_conf_command Ciphersuites {CIPHER};
    ssl_session_cache shared:sessions:4m;
"""


def _headers(verb: str, caller: str) -> str:
    own = "" if verb == "grpc" else 'proxy_set_header connection ""; ' + _BUFFERS
    return f"{verb}_set_header host $http_host; {caller} {own}"


def _http_out(side: Side) -> str:
    verb = _verb(side)
    scheme = "grpcs" if verb == "grpc" else "https"
    http2 = " http2" if side.protocol.multiplexed else ""
    told = f"{verb}_set_header x-request-id $request_id; {verb}_set_header x-forwarded-for $proxy_add_x_forwarded_for;"
    return f"""  upstream web {{ server {side.server}:{side.protocol.app_port}; {_KEPT} }}
  server {{
    listen {CAPTURED_OUT}{http2};
    location / {{
      {verb}_pass {scheme}://web;
      {_headers(verb, told)}
      {_called(verb)}
    }}
  }}
"""


def _http_in(side: Side) -> str:
    verb = _verb(side)
    scheme = "grpc" if verb == "grpc" else "http"
    http2 = " http2" if verb == "grpc" else ""
    told = f'{verb}_set_header x-forwarded-client-cert "Subject=$ssl_client_s_dn";'
    return f"""  map $ssl_client_s_dn $allowed {{ "CN={short_name("client")}" 1; default 0; }}
  upstream app {{ server 127.0.0.1:{_app_port(side)}; {_KEPT} }}
  server {{
    listen {CAPTURED_IN} ssl{http2};
    {_ACCEPTED}
    if ($allowed = 0) {{ return 403; }}
    location / {{
      {verb}_pass {scheme}://app;
      {_headers(verb, told)}
    }}
  }}
"""


def _stream_out(side: Side) -> str:
    return f"""  upstream web {{ server {side.server}:{side.protocol.app_port}; }}
  server {{
    listen {CAPTURED_OUT};
    proxy_pass web;
    proxy_ssl on;
    proxy_timeout 600s;
    {_called("proxy")}
  }}
"""


def _stream_in(side: Side) -> str:
    """Who is not allowed is led to a port where nobody listens: the stream module has no other refusal by identity."""
    return f"""  map $ssl_client_s_dn $app {{
    "CN={short_name("client")}" 127.0.0.1:{_app_port(side)};
    default 127.0.0.1:1;
  }}
  server {{
    listen {CAPTURED_IN} ssl;
    {_ACCEPTED}
    proxy_pass $app;
    proxy_timeout 600s;
  }}
"""
