"""A small gRPC server that answers with its name; run inside a workload. SIGTERM ends it at once, as many an app.

usage: python grpc_answerer.py PORT NAME
"""

import sys
import time
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc

PORT, NAME = int(sys.argv[1]), sys.argv[2]


def unary(request: bytes, context: object) -> bytes:
    """Answer once."""
    del request, context
    return NAME.encode()


def stream(request: bytes, context: object) -> Iterator[bytes]:
    """Answer so many messages over so many seconds."""
    del context
    messages, over = request.decode().split()
    for _ in range(int(messages)):
        time.sleep(float(over) / int(messages))
        yield NAME.encode()


METHODS: dict[str, Any] = {
    "Unary": grpc.unary_unary_rpc_method_handler(unary),
    "Stream": grpc.unary_stream_rpc_method_handler(stream),
}
server = grpc.server(futures.ThreadPoolExecutor(32))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Test", METHODS),))
server.add_insecure_port(f"0.0.0.0:{PORT}")
server.start()
server.wait_for_termination()
