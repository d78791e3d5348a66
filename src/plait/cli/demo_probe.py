"""What the demo runs inside a workload: plain HTTP calls, counted. Standard library only; knows of no mesh.

Reads one JSON plan from its first argument and prints one JSON result. The plan: `calls` is a list of {method, url,
headers, body}, made in turn; either `count` calls or as many as `rate` a second give in `seconds`, over `workers`
kept connections. Honours HTTP_PROXY as any client does. Gives up after `patience` failures in a row.
"""

import http.client
import json
import os
import sys
import threading
import time
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

TIMEOUT = 3.0


class Caller:
    """One worker's kept connections, by host."""

    def __init__(self) -> None:
        self._connections: dict[str, http.client.HTTPConnection] = {}
        self._proxy = urlsplit(os.environ.get("http_proxy") or os.environ.get("HTTP_PROXY") or "")

    def call(self, call: dict[str, Any]) -> tuple[int, str, dict[str, str]]:
        """Status, body and headers of one call; status 0 with the error's name if there was no answer."""
        parts = urlsplit(str(call["url"]))
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        through_proxy = bool(self._proxy.hostname) and parts.hostname not in ("127.0.0.1", "localhost")
        place = self._proxy if through_proxy else parts
        key = f"{place.hostname}:{place.port or 80}"
        connection = self._connections.get(key)
        if connection is None:
            connection = http.client.HTTPConnection(place.hostname or "", place.port or 80, timeout=TIMEOUT)
            self._connections[key] = connection
        body = call.get("body")
        headers = {**call.get("headers", {}), **({"content-type": "application/json"} if body else {})}
        try:
            connection.request(
                call.get("method", "GET"), call["url"] if through_proxy else path, body=body, headers=headers
            )
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            del self._connections[key]
            return 0, type(error).__name__, {}
        if answer.will_close:
            connection.close()
            del self._connections[key]
        return answer.status, text, {name.lower(): value for name, value in answer.getheaders()}


class Tally:
    """Counts what came back; the last answer of each status is kept."""

    def __init__(self, patience: int) -> None:
        self.statuses: Counter[str] = Counter()
        self.marks: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.slowest = 0.0
        self.last: dict[str, Any] = {}
        self._failed_in_a_row = 0
        self._patience = patience
        self._lock = threading.Lock()

    @property
    def hopeless(self) -> bool:
        """Whether so many calls failed in a row that more would tell nothing new."""
        return self._failed_in_a_row >= self._patience

    def add(self, status: int, body: str, headers: dict[str, str], seconds: float) -> None:
        """Count one answer."""
        with self._lock:
            self.statuses[str(status)] += 1
            self.slowest = max(self.slowest, seconds)
            self._failed_in_a_row = 0 if status else self._failed_in_a_row + 1
            if not status:
                self.errors[body] += 1
                return
            try:
                self.marks[str(json.loads(body).get("version", ""))] += 1
            except (ValueError, AttributeError):
                self.marks[""] += 1
            self.last[str(status)] = {"body": body[:2000], "headers": headers}


def main() -> None:
    """Carry out the plan."""
    plan = json.loads(sys.argv[1])
    tally = Tally(plan.get("patience", 5))
    numbers = iter(range(plan.get("count", 1 << 30)))
    until = time.monotonic() + plan.get("seconds", 60)
    workers = plan.get("workers", 1)
    pause = workers / plan["rate"] if plan.get("rate") else 0.0

    def work() -> None:
        caller = Caller()
        due = time.monotonic()
        for number in numbers:
            if time.monotonic() >= until or tally.hopeless:
                return
            started = time.monotonic()
            status, body, headers = caller.call(plan["calls"][number % len(plan["calls"])])
            tally.add(status, body, headers, time.monotonic() - started)
            due += pause
            time.sleep(max(0.0, due - time.monotonic()))

    threads = [threading.Thread(target=work) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    result = {
        "statuses": tally.statuses,
        "versions": tally.marks,
        "errors": tally.errors,
        "slowest": round(tally.slowest, 3),
        "last": tally.last,
        "gaveUp": tally.hopeless,
    }
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
