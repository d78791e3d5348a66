"""Calls a service for so long or so often, on one connection; prints how many answers there were of each kind."""

import http.client
import json
import sys
import time
from collections import Counter

HOST, SECONDS, NUMBER = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])


def main() -> None:
    """Call until the time is over or the number is reached."""
    found: Counter[str] = Counter()
    began = time.monotonic()
    connection = http.client.HTTPConnection(HOST, timeout=10)
    while sum(found.values()) < NUMBER and time.monotonic() - began < SECONDS:
        connection.request("GET", "/", headers={"x-user": "ann"})
        answer = connection.getresponse()
        name = answer.read().decode().split(" ")[0]
        found[name if answer.status == 200 else f"{answer.status} {answer.headers['x-plait-shed']}"] += 1
    print(json.dumps({**found, "seconds": time.monotonic() - began}))


if __name__ == "__main__":
    main()
