"""A small HTTP/1.1 server for load that counts losses: answers with its name; `/slow/SECONDS` takes that long.

usage: python answerer.py PORT NAME      Standard library only; knows of no mesh. SIGTERM ends it at once, as it does
many an app: whatever must be answered first is the mesh's business.
"""

import http.server
import sys
import time

PORT, NAME = int(sys.argv[1]), sys.argv[2]


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers any request alike."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Answer."""
        if self.path.startswith("/slow/"):
            time.sleep(float(self.path.removeprefix("/slow/")))
        self.rfile.read(int(self.headers.get("content-length", "0")))
        body = NAME.encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        """Answer."""
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class Server(http.server.ThreadingHTTPServer):
    """A server that takes what it is given."""

    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that left is no error."""


Server(("0.0.0.0", PORT), Handler).serve_forever()
