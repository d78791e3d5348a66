"""Authorizers for tests: one that is asked by HTTP, one by gRPC; both remember what they were told."""

import contextlib
import http.server
import threading
from collections.abc import Generator
from concurrent import futures
from dataclasses import dataclass, field

import grpc
from envoy.config.core.v3 import base_pb2
from envoy.service.auth.v3 import external_auth_pb2
from envoy.type.v3 import http_status_pb2
from google.rpc import status_pb2

KEY = "Bearer good"
"""What a request must bring to be allowed."""


@dataclass(frozen=True)
class Asked:
    """A question: what the authorizer was told of a request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Authorizer:
    """A running authorizer."""

    port: int
    asked: list[Asked] = field(default_factory=list[Asked])


@contextlib.contextmanager
def by_http() -> Generator[Authorizer]:
    """One that answers 200 with headers for the backend, or 401 with a sentence."""
    authorizer = Authorizer(0)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            authorizer.asked.append(Asked(self.command, self.path, headers, body))
            allowed = headers.get("authorization") == KEY
            said = b"" if allowed else b"who are you?\n"
            self.send_response(200 if allowed else 401)
            for name, value in (("x-user", "ann"), ("x-group", "admins"), ("content-type", "text/authorizer")):
                self.send_header(name, value)
            self.send_header("content-length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_GET = do_POST = _answer  # noqa: N815 (the names that the library calls)

        def log_message(self, format: str, *args: object) -> None:
            del format, args

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        authorizer.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield authorizer
        server.shutdown()


@contextlib.contextmanager
def by_grpc() -> Generator[Authorizer]:
    """One that speaks Envoy's external authorization."""
    authorizer = Authorizer(0)

    def check(
        request: external_auth_pb2.CheckRequest, context: grpc.ServicerContext
    ) -> external_auth_pb2.CheckResponse:
        del context
        asked = request.attributes.request.http
        body = asked.raw_body or asked.body.encode()
        authorizer.asked.append(Asked(asked.method, asked.path, dict(asked.headers), body))
        if asked.headers.get("authorization") == KEY:
            header = base_pb2.HeaderValueOption(header=base_pb2.HeaderValue(key="x-user", value="ann"))
            allowed = external_auth_pb2.OkHttpResponse(headers=[header])
            return external_auth_pb2.CheckResponse(status=status_pb2.Status(code=0), ok_response=allowed)
        denied = external_auth_pb2.DeniedHttpResponse(
            status=http_status_pb2.HttpStatus(code=http_status_pb2.Unauthorized), body="who are you?\n"
        )
        return external_auth_pb2.CheckResponse(status=status_pb2.Status(code=7), denied_response=denied)

    handler = grpc.unary_unary_rpc_method_handler(
        check,
        request_deserializer=external_auth_pb2.CheckRequest.FromString,
        response_serializer=external_auth_pb2.CheckResponse.SerializeToString,
    )
    server = grpc.server(futures.ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("envoy.service.auth.v3.Authorization", {"Check": handler}),)
    )
    authorizer.port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield authorizer
    server.stop(0).wait()
