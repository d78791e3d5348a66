"""`bench/caller.py` with streams of gRPC calls beside those of HTTP/1.1; run inside a workload as a program.

    {"url": "grpc://HOST:PORT", "messages": N, "over": SECONDS, "workers", "pause"}

Such a stream makes unary calls (`messages` 0), or calls that are answered by so many messages over some time. Each
worker keeps one channel, and nothing is tried again: gRPC's own retries, the transparent ones too, are off.
"""

import sys
import threading
import time
from pathlib import Path

import grpc

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench import caller

OPTIONS = (("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1), ("grpc.max_reconnect_backoff_ms", 500))


class GrpcStream(caller.Stream):
    """Calls of one kind."""

    def work(self, stopping: threading.Event) -> None:
        """Call until told to stop."""
        with grpc.insecure_channel(self.parts.netloc, options=OPTIONS) as channel:
            while not stopping.is_set():
                started = time.monotonic()
                failure, who = self._called(channel)
                self.note(failure, who, time.monotonic() - started)
                time.sleep(self.plan.get("pause", 0.01))

    def _called(self, channel: grpc.Channel) -> tuple[str, str]:
        messages, over = int(self.plan.get("messages", 0)), float(self.plan.get("over", 0))
        try:
            if not messages:
                unary: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/test.Test/Unary")
                return "", unary(b"", timeout=caller.TIMEOUT).decode()
            stream: grpc.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream("/test.Test/Stream")
            asked = f"{messages} {over}".encode()
            came = [item.decode() for item in stream(asked, timeout=caller.TIMEOUT)]
        except grpc.RpcError as error:
            return f"{error.code()} {error.details()}", ""
        return ("", came[0]) if len(came) == messages else (f"{len(came)} of {messages} messages", "")


if __name__ == "__main__":
    caller.main({"grpc": GrpcStream})
