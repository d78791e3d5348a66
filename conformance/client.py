"""The caller of the conformance cases. Reads lines of JSON from standard input and answers each with a line of JSON.

usage: python client.py        a line in: {"call": {...}, "times": N}; a line out: a list of N answers

A call: protocol (http, https, grpc, ws, tcp, tls), address and port to connect to, host (the Host header, default the
address), method, path, headers, body, sni, ca (PEM), certificate (PEM, chain and key), timeout in seconds. Nothing is
followed or tried again. An answer: status, headers (lower case, lists), body (parsed if it is JSON), protocol, seconds;
or error, a sentence.
"""

import base64
import http.client
import json
import os
import socket
import ssl
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

TIMEOUT = 15.0
GRPC_STATUS = {"UNKNOWN": 2, "PERMISSION_DENIED": 7, "UNIMPLEMENTED": 12, "INTERNAL": 13, "UNAVAILABLE": 14}


def context(call: dict[str, Any]) -> ssl.SSLContext:
    """The TLS settings of a call."""
    found = ssl.create_default_context(cadata=call["ca"]) if call.get("ca") else ssl._create_unverified_context()
    if call.get("certificate"):
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
            file.write(call["certificate"])
            file.flush()
            found.load_cert_chain(file.name)
    return found


def connect(call: dict[str, Any]) -> socket.socket:
    """A connection, with TLS if the protocol has it."""
    wait = float(call.get("timeout", TIMEOUT))
    plain = socket.create_connection((call["address"], call["port"]), timeout=wait)
    if call["protocol"] not in ("https", "tls"):
        return plain
    return context(call).wrap_socket(plain, server_hostname=call.get("sni") or call.get("host") or call["address"])


def parsed(text: bytes) -> Any:
    """JSON, or the text."""
    try:
        return json.loads(text)
    except ValueError:
        return text.decode("utf-8", "replace")


def by_http(call: dict[str, Any]) -> dict[str, Any]:
    """An HTTP/1.1 call."""
    connection = http.client.HTTPConnection(call["address"], call["port"], timeout=call.get("timeout", TIMEOUT))
    connection.sock = connect(call)
    try:
        connection.putrequest(
            call.get("method", "GET"), call.get("path", "/"), skip_host=True, skip_accept_encoding=True
        )
        connection.putheader("Host", call.get("host") or call["address"])
        for name, values in call.get("headers", {}).items():
            for value in values if isinstance(values, list) else [values]:
                connection.putheader(name, value)
        body = call.get("body", "").encode()
        if body:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body or None)
        response = connection.getresponse()
        headers: dict[str, list[str]] = {}
        for name, value in response.getheaders():
            headers.setdefault(name.lower(), []).append(value)
        return {"status": response.status, "headers": headers, "body": parsed(response.read())}
    finally:
        connection.close()


def by_grpc(call: dict[str, Any]) -> dict[str, Any]:
    """A gRPC call; the status is gRPC's own number."""
    import grpc

    options = [("grpc.default_authority", call.get("host") or call["address"]), ("grpc.enable_retries", 0)]
    with grpc.insecure_channel(f"{call['address']}:{call['port']}", options=options) as channel:
        metadata = tuple((name.lower(), value) for name, value in call.get("headers", {}).items())
        path = call.get("path", "/")
        method: Any = channel.unary_unary("/echo.Echo/Echo" if path == "/" else path)
        try:
            body, done = method.with_call(b"", metadata=metadata, timeout=call.get("timeout", TIMEOUT))
        except grpc.RpcError as error:
            code = error.code()  # type: ignore[attr-defined]
            return {"status": GRPC_STATUS.get(code.name, code.value[0]), "headers": {}, "body": str(error)}
        headers: dict[str, list[str]] = {}
        for name, value in (*done.initial_metadata(), *done.trailing_metadata()):
            headers.setdefault(name, []).append(str(value))
        return {"status": 0, "headers": headers, "body": parsed(body)}


def by_websocket(call: dict[str, Any]) -> dict[str, Any]:
    """A WebSocket: one text there, one back."""
    with connect(call) as sock:
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            f"GET {call.get('path', '/')} HTTP/1.1",
            f"Host: {call.get('host') or call['address']}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {key}",
            *(f"{name}: {value}" for name, value in call.get("headers", {}).items()),
        ]
        sock.sendall("\r\n".join([*lines, "", ""]).encode())
        file = sock.makefile("rb")
        status = int(file.readline().split()[1])
        while file.readline().strip():
            pass
        if status != 101:
            return {"status": status, "headers": {}, "body": ""}
        text, mask = call.get("body", "hello").encode(), os.urandom(4)
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(text))
        sock.sendall(bytes([0x81, 0x80 | len(text)]) + mask + masked)
        length = file.read(2)[1]
        if length == 126:
            length = int.from_bytes(file.read(2), "big")
        return {"status": status, "headers": {}, "body": parsed(file.read(length))}


def by_bytes(call: dict[str, Any]) -> dict[str, Any]:
    """A line over TCP or TLS and its answer, `BACKEND LINE`."""
    with connect(call) as sock:
        sock.sendall((call.get("body", "hello") + "\n").encode())
        backend, _, text = sock.makefile().readline().strip().partition(" ")
        if not backend:
            raise EOFError("the connection was closed without an answer")
        return {"status": 200, "headers": {}, "body": {"backend": backend, "text": text}}


PROTOCOLS = {
    "http": by_http,
    "https": by_http,
    "grpc": by_grpc,
    "ws": by_websocket,
    "tcp": by_bytes,
    "tls": by_bytes,
}


def answer(call: dict[str, Any]) -> dict[str, Any]:
    """One call's answer or error."""
    began = time.monotonic()
    try:
        found = PROTOCOLS[call["protocol"]](call)
    except (OSError, EOFError, http.client.HTTPException) as error:
        found = {"error": f"{type(error).__name__}: {error}"}
    return found | {"seconds": round(time.monotonic() - began, 3)}


def main() -> None:
    """Answer until the input ends."""
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != Path(__file__).parent.resolve()]
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps([answer(asked["call"]) for _ in range(asked.get("times", 1))]), flush=True)


if __name__ == "__main__":
    main()
