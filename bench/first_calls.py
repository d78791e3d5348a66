"""Calls each host once over HTTP and prints the milliseconds of each as JSON. Standard library only.

usage: python first_calls.py HOST...        A status other than 200 ends it with an error.
"""

import http.client
import json
import sys
import time


def call(host: str) -> float:
    """Milliseconds of resolving, connecting and the answer."""
    started = time.perf_counter()
    connection = http.client.HTTPConnection(host, 80, timeout=30)
    try:
        connection.request("GET", "/0")
        answer = connection.getresponse()
        answer.read()
        taken = time.perf_counter() - started
    finally:
        connection.close()
    if answer.status != 200:
        raise SystemExit(f"{host} answered {answer.status}")
    return 1000 * taken


if __name__ == "__main__":
    sys.stdout.write(json.dumps([call(host) for host in sys.argv[1:]]) + "\n")
