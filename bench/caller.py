"""Load that counts every lost call, run inside a workload. Standard library only; knows of no mesh.

usage: python caller.py PLAN        PLAN: JSON {NAME: {"url", "method", "body", "workers", "pause", "fresh"}, ...}

Each worker makes one call after the other, `pause` seconds apart, on a connection that it keeps; with `fresh` each call
resolves the name and connects anew. A call is lost if it gets no answer, or another status than 200. Nothing is tried
again. Reads lines from its standard input: `report` prints one line of JSON with all counts so far, anything else (or
its end) ends it, after the calls in hand and a last report.
"""

import http.client
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

TIMEOUT = 15.0
KEPT = 50


class Stream:
    """One kind of call and what became of it."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.plan = plan
        self.parts = urlsplit(str(plan["url"]))
        self.calls = 0
        self.lost = 0
        self.slowest = 0.0
        self.by: Counter[str] = Counter()
        self.failures: list[tuple[float, str]] = []
        self.lock = threading.Lock()

    def work(self, stopping: threading.Event) -> None:
        """Call until told to stop."""
        connection: http.client.HTTPConnection | None = None
        while not stopping.is_set():
            started = time.monotonic()
            if connection is None:
                connection = http.client.HTTPConnection(
                    self.parts.hostname or "", self.parts.port or 80, timeout=TIMEOUT
                )
            failure, who = self.call(connection)
            self.note(failure, who, time.monotonic() - started)
            if failure or self.plan.get("fresh"):
                connection.close()
                connection = None
            time.sleep(self.plan.get("pause", 0.01))
        if connection is not None:
            connection.close()

    def call(self, connection: http.client.HTTPConnection) -> tuple[str, str]:
        """One call: what went wrong, and who answered."""
        try:
            connection.request(self.plan.get("method", "GET"), self.parts.path or "/", body=self.plan.get("body"))
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            return f"{type(error).__name__}: {error}", ""
        if answer.will_close:
            connection.close()
        return ("", text) if answer.status == 200 else (f"{answer.status} {text[:120]}", "")

    def note(self, failure: str, who: str, seconds: float) -> None:
        """Count one call."""
        with self.lock:
            self.calls += 1
            self.slowest = max(self.slowest, seconds)
            if not failure:
                self.by[who] += 1
                return
            self.lost += 1
            if len(self.failures) < KEPT:
                self.failures.append((round(time.time(), 3), f"after {seconds:.3f} s: {failure}"))

    def report(self) -> dict[str, Any]:
        """All counts so far; the slowest call is that since the last report."""
        with self.lock:
            found = {
                "calls": self.calls,
                "lost": self.lost,
                "slowest": round(self.slowest, 3),
                "by": dict(self.by),
                "failures": list(self.failures),
            }
            self.slowest = 0.0
            return found


def main(kinds: Mapping[str, type[Stream]] = MappingProxyType({})) -> None:
    """Carry out the plan; `kinds` are streams of other schemes than HTTP."""
    plans: dict[str, dict[str, Any]] = json.loads(sys.argv[1])
    streams = {name: kinds.get(urlsplit(str(plan["url"])).scheme, Stream)(plan) for name, plan in plans.items()}
    stopping = threading.Event()
    threads = [
        threading.Thread(target=stream.work, args=(stopping,))
        for stream in streams.values()
        for _ in range(stream.plan.get("workers", 1))
    ]
    for thread in threads:
        thread.start()
    print("started", flush=True)
    while sys.stdin.readline() == "report\n":
        print(json.dumps({name: stream.report() for name, stream in streams.items()}), flush=True)
    stopping.set()
    for thread in threads:
        thread.join()
    print(json.dumps({name: stream.report() for name, stream in streams.items()}), flush=True)


if __name__ == "__main__":
    main()
