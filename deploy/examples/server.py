"""A model server with Tenure beside it. Standard library only, so that what Tenure adds is easy to see.

POST /predict with an order answers {"score": …}; POST /outcome with {"order_id": …, "label": 0 or 1} tells what became
of it. The agent is where $TENURE_AGENT says; without an agent the server answers just the same.
"""

from __future__ import annotations

import json
import math
import os
import signal
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import tenure

LARGEST_BODY = 64 * 1024

monitor = tenure.Monitor("fraud_detector", version=os.environ.get("MODEL_VERSION", "1"))


@monitor.watch(id="order_id")
def predict(order: dict[str, Any]) -> float:
    """How likely an order is fraud."""
    logit = 0.02 * order["amount"] + 0.8 * (order["country"] == "XX") - 0.01 * order["account_age_days"] - 1.0
    return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, logit))))


class Handler(BaseHTTPRequestHandler):
    """The server's three paths."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        if self.path == "/healthz":
            self._answer(HTTPStatus.OK, {"status": "ok"})
        else:
            self._answer(HTTPStatus.NOT_FOUND, {"error": "no such path"})

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if not 0 <= length <= LARGEST_BODY:
            self.close_connection = True
            self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {"error": "too large"})
            return
        body = self.rfile.read(length)
        try:
            document = json.loads(body)
            if self.path == "/predict":
                self._answer(HTTPStatus.OK, {"score": predict(document)})
            elif self.path == "/outcome":
                monitor.outcome(document["order_id"], label=document["label"])
                self._answer(HTTPStatus.ACCEPTED, {})
            else:
                self._answer(HTTPStatus.NOT_FOUND, {"error": "no such path"})
        except (KeyError, TypeError, ValueError) as error:
            self._answer(HTTPStatus.BAD_REQUEST, {"error": repr(error)})

    def _answer(self, status: HTTPStatus, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """One line per request would drown what matters."""


def main() -> None:
    """Serve until SIGTERM; what is queued for the agent is sent before the process ends."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    address = os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT", "8000"))
    with monitor, ThreadingHTTPServer(address, Handler) as server:
        sys.stdout.write(f"serving on http://{server.server_address[0]!s}:{server.server_port}\n")
        sys.stdout.flush()
        server.serve_forever()


if __name__ == "__main__":
    main()
