"""What the generators of load tell."""

import http.server
import threading

import pytest

from bench import load, pace, processes

WRK = """Running 4s test @ http://240.240.0.10:80/
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     5.61ms    2.61ms  42.51ms   80.10%
  Latency Distribution
     50%  912.00us
     75%    6.55ms
     90%    8.46ms
     99%    1.25s
  23431 requests in 4.01s, 27.00MB read
Requests/sec:   5838.21
Transfer/sec:      6.73MB
"""


def test_wrk_is_read_in_milliseconds() -> None:
    """Every unit that wrk prints becomes milliseconds."""
    outcome = load.parse_wrk(WRK)

    assert (outcome.requests, outcome.failed, outcome.per_second) == (23431, 0, 5838.21)
    assert (outcome.p50, outcome.p99) == (pytest.approx(0.912), pytest.approx(1250))


def test_refused_and_broken_requests_of_wrk_are_failures() -> None:
    """Statuses other than 2xx and socket errors are added up."""
    lines = "  Socket errors: connect 1, read 2, write 0, timeout 3\n  Non-2xx or 3xx responses: 30\n"

    assert load.parse_wrk(WRK + lines).failed == 36


def test_unexpected_words_of_wrk_are_shown() -> None:
    """A wrk that says something else is quoted, not guessed at."""
    with pytest.raises(RuntimeError, match="unable to connect"):
        load.parse_wrk("unable to connect to 240.240.0.10:80")


H2LOAD = """finished in 2.00s, 1500.00 req/s, 1.55MB/s
requests: 3000 total, 3032 started, 3000 done, 2999 succeeded, 1 failed, 0 errored, 0 timeout
status codes: 2999 2xx, 0 3xx, 0 4xx, 1 5xx
"""


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
