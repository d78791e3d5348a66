"""The app behind the conformance Services: it answers with what it was asked, so that a case can check it.

It is an authorizer too: where `authorization` is `Bearer good` 8082 answers 200 and tells in `x-asked` what it was
asked, else 401; 7070 does the same by Envoy's external authorization.

usage: python -m conformance.echo NAME FOLDER      (FOLDER holds cert.pem, key.pem and ca.pem for the TLS ports)

Ports: 8080 HTTP/1.1, HTTP/2 without TLS and WebSocket, 8081 the same (declared h2c), 8443 HTTPS, 8444 HTTPS for callers
that prove themselves by a certificate that ca.pem signed, 9090 TCP (a line is
answered with NAME and the line), 7070 gRPC (any method is answered with JSON). `?delay=SECONDS` waits, `?status=CODE`
answers that, `?fail=N&key=K` answers 500 to the first N calls of that key; `x-echo-set-header: NAME:VALUE` sets a
header of the answer.
"""

import asyncio
import json
import ssl
import sys
import urllib.parse
from collections import Counter
from concurrent import futures
from pathlib import Path
from typing import Any, Final

import grpc
from envoy.service.auth.v3 import external_auth_pb2
from hypercorn.asyncio import serve
from hypercorn.config import Config

HTTP: Final = 8080
H2C: Final = 8081
HTTPS: Final = 8443
MUTUAL: Final = 8444
TCP: Final = 9090
GRPC: Final = 7070
AUTHORIZER: Final = 8082
KEY: Final = "Bearer good"
CHECK: Final = "/envoy.service.auth.v3.Authorization/Check"


class Echo:
    """The ASGI application."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._seen: Counter[str] = Counter()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request or a WebSocket."""
        if scope["type"] == "http":
            await self._request(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._conversation(scope, receive, send)
        elif scope["type"] == "lifespan":
            await _live(receive, send)

    async def _request(self, scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        wanted = dict(urllib.parse.parse_qsl(scope["query_string"].decode()))
        key = wanted.get("key", "")
        self._seen[key] += 1
        await asyncio.sleep(float(wanted.get("delay", 0)))
        failing = self._seen[key] <= int(wanted.get("fail", 0))
        status = 500 if failing else int(wanted.get("status", 200))
        told = self._told(scope) | {"call": self._seen[key]}
        headers = [(b"content-type", b"application/json")]
        for name, value in scope["headers"]:
            if name == b"x-echo-set-header":
                headers += [_pair(part) for part in value.split(b",")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(told).encode()})

    async def _conversation(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            told = self._told(scope) | {"text": message.get("text")}
            await send({"type": "websocket.send", "text": json.dumps(told)})

    def _told(self, scope: Any) -> dict[str, Any]:
        headers: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
        query = scope["query_string"].decode()
        path = scope["raw_path"].decode() + (f"?{query}" if query else "")
        return {
            "backend": self._name,
            "path": path,
            "method": scope.get("method", "GET"),
            "protocol": scope["http_version"],
            "host": headers.get("host", [""])[0],
            "scheme": scope["scheme"],
            "headers": headers,
        }


def _pair(text: bytes) -> tuple[bytes, bytes]:
    name, _, value = text.partition(b":")
    return name.strip().lower(), value.strip()


async def _live(receive: Any, send: Any) -> None:
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return


async def authorize(scope: Any, receive: Any, send: Any) -> None:
    """The ASGI application of the authorizer."""
    if scope["type"] == "lifespan":
        await _live(receive, send)
    if scope["type"] != "http":
        return
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    allowed = headers.get("authorization") == KEY
    asked = f"{scope['raw_path'].decode()} of {headers.get('host')}, {size} bytes, {headers.get('x-told', 'untold')}"
    told = [(b"x-asked", asked.encode()), (b"x-other", b"1")]
    await send({"type": "http.response.start", "status": 200 if allowed else 401, "headers": told})
    await send({"type": "http.response.body", "body": b"" if allowed else b"who are you?"})


def _checked(request: bytes) -> bytes:
    asked = external_auth_pb2.CheckRequest.FromString(request).attributes.request.http
    told = external_auth_pb2.CheckResponse()
    if asked.headers.get("authorization") != KEY:
        told.status.code = 7
        told.denied_response.status.code = 401
        return told.SerializeToString()
    text = f"{asked.path} of {asked.host}, {len(asked.raw_body)} bytes, {asked.headers.get('x-told', 'untold')}"
    option = told.ok_response.headers.add()
    option.header.key, option.header.value = "x-asked", text
    return told.SerializeToString()


class Calls(grpc.GenericRpcHandler):
    """Answers every gRPC method with what it was called with."""

    def __init__(self, name: str) -> None:
        self._name = name

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """The answer to a call of a method."""
        headers: dict[str, list[str]] = {}
        for key, value in handler_call_details.invocation_metadata or ():
            headers.setdefault(key, []).append(value if isinstance(value, str) else value.hex())
        told = {"backend": self._name, "path": handler_call_details.method, "headers": headers}

        def answer(request: bytes, context: Any) -> bytes:
            del context
            return _checked(request) if handler_call_details.method == CHECK else json.dumps(told).encode()

        return grpc.unary_unary_rpc_method_handler(answer)


async def _line(name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write(f"{name} {line.decode().strip()}\n".encode())
        await writer.drain()
    writer.close()


def _secure(port: int, folder: Path) -> Config:
    config = Config()
    config.bind = [f"0.0.0.0:{port}"]
    config.certfile, config.keyfile = str(folder / "cert.pem"), str(folder / "key.pem")
    config.alpn_protocols = ["h2", "http/1.1"]
    config.include_server_header = False
    return config


async def _serve(name: str, folder: Path) -> None:
    usual, mutual = _secure(HTTPS, folder), _secure(MUTUAL, folder)
    usual.insecure_bind = [f"0.0.0.0:{HTTP}", f"0.0.0.0:{H2C}"]
    mutual.ca_certs, mutual.verify_mode = str(folder / "ca.pem"), ssl.CERT_REQUIRED
    await asyncio.start_server(lambda reader, writer: _line(name, reader, writer), "0.0.0.0", TCP)
    server = grpc.server(futures.ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((Calls(name),))
    server.add_insecure_port(f"0.0.0.0:{GRPC}")
    server.start()
    app = Echo(name)
    asked = Config()
    asked.bind = [f"0.0.0.0:{AUTHORIZER}"]
    await asyncio.gather(serve(app, usual), serve(app, mutual), serve(authorize, asked))


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], Path(sys.argv[2])))
