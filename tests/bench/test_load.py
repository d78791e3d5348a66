"""What the generators of load tell."""

import http.server
import threading

import pytest

from bench import load, pace, processes

H2LOAD = """finished in 2.00s, 1500.00 req/s, 1.55MB/s
requests: 3000 total, 3032 started, 3000 done, 2999 succeeded, 1 failed, 0 errored, 0 timeout
status codes: 2999 2xx, 0 3xx, 0 4xx, 1 5xx
"""


def test_unexpected_words_are_shown() -> None:
    """An h2load that says something else is quoted, not guessed at."""
    with pytest.raises(RuntimeError, match="unable to connect"):
        load.parse_h2load("unable to connect to 240.240.0.10:80", "", 2)


def test_h2load_is_read_from_its_log() -> None:
    """Latencies are those of the answered requests; another status is a failure."""
    log = "".join(f"1795396149921863\t200\t{1000 * number}\n" for number in range(1, 101))

    outcome = load.parse_h2load(H2LOAD, log + "1795396149921863\t502\t9000000\n", 2)

    assert (outcome.requests, outcome.failed, outcome.per_second) == (100, 1, 50)
    assert (outcome.p50, outcome.p99) == (pytest.approx(51), pytest.approx(100))


def test_an_answer_that_began_before_reading_did_is_no_failure() -> None:
    """h2load logs it without a status; it counts neither way."""
    text = H2LOAD.replace("1 failed", "0 failed")

    outcome = load.parse_h2load(text, "1\t0\t14099\n2\t200\t1000\n", 2)

    assert (outcome.requests, outcome.failed) == (1, 0)


def test_unexpected_words_of_h2load_are_shown() -> None:
    """An h2load that says something else is quoted, not guessed at."""
    with pytest.raises(RuntimeError, match="unable to connect"):
        load.parse_h2load("unable to connect to 240.240.0.10:80", "", 2)


def test_requests_that_h2load_gave_up_are_failures() -> None:
    """What is in no log because it was never answered counts as well."""
    text = H2LOAD.replace("1 failed, 0 errored", "7 failed, 7 errored")

    assert load.parse_h2load(text, "", 2).failed == 7


def test_memory_is_read_from_the_rollup() -> None:
    """Kilobytes of the kernel become megabytes."""
    text = "00400000-7ffd [rollup]\nRss:    2000 kB\nPss:  1000 kB\nPss_Anon: 1 kB\nAnonymous:  500 kB\n"

    memory = processes.parse_rollup(text)

    assert (memory.resident, memory.proportional, memory.anonymous) == (2.048, 1.024, 0.512)


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers the first requests and refuses the later ones."""

    protocol_version = "HTTP/1.1"
    served = 0

    def do_GET(self) -> None:
        """Answer."""
        type(self).served += 1
        self.send_response(200 if type(self).served <= 30 else 503)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"yes")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def test_a_paced_run_sends_its_plan_and_counts_refusals() -> None:
    """40 requests at a fixed rate: 30 are answered, 10 fail, latencies are those of the answered."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    run = pace.Run(("127.0.0.1", server.server_address[1]), "web", path="/1k", rate=400, seconds=0.1)
    try:
        run.drive()
        report = run.report()
    finally:
        run.close()
        server.shutdown()
        server.server_close()
        thread.join()

    assert (report["requests"], report["failed"]) == (30, 10)
    assert 0 < report["p50"] <= report["p99"]
