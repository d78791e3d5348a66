"""The app that is called: nginx, which answers every path with as many bytes as its name says, gRPC included.

One worker, no log, connections that stay. gRPC is answered with a message of 1 KB from a file and the status as a
trailer; a POST to a file is refused by nginx with 405, which is answered with the file. The mirror leads nowhere and
makes it read the question first: whoever answers earlier resets the stream afterwards, which nginx as a proxy takes
ill. Files are not sent by sendfile, which holds small ones back for 40 ms on HTTP/2.
"""

import struct
from pathlib import Path

from bench.calls import BODIES, GRPC, GRPC_PATH, HTTP1, HTTP2, PATHS, TCP

LISTEN = f"listen {HTTP1.app_port}; listen {TCP.app_port}; listen {HTTP2.app_port} http2; listen {GRPC.app_port} http2;"


def command(folder: Path, listen: str = LISTEN) -> list[str]:
    """How it is started, on the core of the load; its files are written into that folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "large").write_bytes(b"x" * BODIES["100 KB"])
    (folder / "message").write_bytes(message(b"x" * BODIES["1 KB"]))
    file = folder / "nginx.conf"
    file.write_text(configuration(folder, listen))
    return ["taskset", "-c", "0", "nginx", "-e", str(folder / "nginx.log"), "-c", str(file)]


def message(body: bytes) -> bytes:
    """A gRPC frame with one message: its only field, number 1, is these bytes."""
    field = b"\x0a" + _varint(len(body)) + body
    return struct.pack(">BI", 0, len(field)) + field


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])


def configuration(folder: Path, listen: str) -> str:
    """The configuration; `listen` are whole directives."""
    small = "x" * BODIES["1 KB"]
    return f"""user root;
daemon off;
master_process off;
pid {folder}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 600s;
  open_file_cache max=16;
  sendfile off;
  output_buffers 1 128k;
  default_type text/plain;
  server {{
    {listen}
    location / {{ return 200; }}
    location = {PATHS["empty"]} {{ return 200; }}
    location = {PATHS["1 KB"]} {{ return 200 "{small}"; }}
    location = {PATHS["100 KB"]} {{ alias {folder}/large; }}
    location = {GRPC_PATH} {{ mirror /read; alias {folder}/message; error_page 405 =200 /message; }}
    location = /read {{ internal; return 204; }}
    location = /message {{
      internal;
      alias {folder}/message;
      default_type application/grpc;
      add_trailer grpc-status 0 always;
    }}
  }}
}}
"""
