"""Calls that are not HTTP/1.1, for load that counts losses: echoes on TCP connections, and gRPC (HTTP/2) calls.

usage: python stream_calls.py tcp|grpc PORT         answers
       python stream_calls.py call PLAN             as `bench/caller.py`, with URLs tcp://, grpc:// and proxied:// too

A TCP connection lasts about a second (`lasts`) and each echo on it is one call; a gRPC channel is kept, and its calls
take as long as the path says in seconds. gRPC's own retries are off. `proxied` is HTTP through HTTP_PROXY.
"""

import os
import socket
import socketserver
import sys
import threading
import time
from concurrent import futures
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench import caller

_TEXT = b"0123456789abcdef" * 4
_LASTS = 1.0


class Echoes(caller.Stream):
    """Echoes on connections that last a second."""

    def work(self, stopping: threading.Event) -> None:
        """Call until told to stop."""
        while not stopping.is_set():
            began = time.monotonic()
            try:
                with socket.create_connection((self.parts.hostname, self.parts.port), timeout=10) as connection:
                    while time.monotonic() < began + self.plan.get("lasts", _LASTS):
                        self._echo(connection)
                        time.sleep(self.plan.get("pause", 0.01))
            except (OSError, EOFError) as error:
                self.note(f"{type(error).__name__}: {error}", "", time.monotonic() - began)

    def _echo(self, connection: socket.socket) -> None:
        started = time.monotonic()
        connection.sendall(_TEXT)
        found = b""
        while len(found) < len(_TEXT):
            more = connection.recv(len(_TEXT))
            if not more:
                raise EOFError("the connection was closed")
            found += more
        self.note("" if found == _TEXT else "another text", "echo", time.monotonic() - started)


class Proxied(caller.Stream):
    """HTTP calls through the proxy that the environment names."""

    def __init__(self, plan: dict[str, Any]) -> None:
        super().__init__(plan)
        self.parts = urlsplit(os.environ["HTTP_PROXY"])._replace(path=f"http://{self.parts.netloc}{self.parts.path}")


class Calls(caller.Stream):
    """gRPC calls on one channel."""

    def work(self, stopping: threading.Event) -> None:
        """Call until told to stop."""
        import grpc

        options = [("grpc.enable_retries", 0)]
        with grpc.insecure_channel(f"{self.parts.hostname}:{self.parts.port}", options) as channel:
            method = cast("Any", channel.unary_unary("/echo.Echo/Call"))  # pyright: ignore[reportUnknownMemberType]
            while not stopping.is_set():
                started, failure = time.monotonic(), ""
                try:
                    method(self.parts.path.strip("/").encode(), timeout=10)
                except grpc.RpcError as error:
                    failure = f"{error.code()}: {error.details()}"
                self.note(failure, "grpc", time.monotonic() - started)
                time.sleep(self.plan.get("pause", 0.01))


class Echo(socketserver.BaseRequestHandler):
    """Sends back what it gets."""

    def handle(self) -> None:
        """Serve one connection."""
        while data := self.request.recv(65536):
            self.request.sendall(data)


class Server(socketserver.ThreadingTCPServer):
    """A TCP server that takes what it is given."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that left is no error."""


def _called(request: bytes, context: object) -> bytes:
    del context
    time.sleep(float(request or b"0"))
    return request


def serve_tcp(port: int) -> None:
    """Answer TCP connections."""
    Server(("0.0.0.0", port), Echo).serve_forever()


def serve_grpc(port: int) -> None:
    """Answer gRPC calls."""
    import grpc

    server = grpc.server(futures.ThreadPoolExecutor(32))
    handler = cast("Any", grpc.unary_unary_rpc_method_handler(_called))  # pyright: ignore[reportUnknownMemberType]
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("echo.Echo", {"Call": handler}),))
    server.add_insecure_port(f"0.0.0.0:{port}")
    server.start()
    server.wait_for_termination()


def main() -> None:
    """Serve or call."""
    serve = {"tcp": serve_tcp, "grpc": serve_grpc}.get(sys.argv[1])
    if serve is not None:
        serve(int(sys.argv[2]))
        return
    del sys.argv[1]
    caller.main({"tcp": Echoes, "grpc": Calls, "proxied": Proxied})


if __name__ == "__main__":
    main()
