"""Stands in for everybody who is notified: takes Slack messages, e-mails and webhooks, and lists what came.

For drills and tests; it needs Python alone, so that a pod can run this file as it is.

    POST /slack, /status-page, …   as Slack, a status page, a heartbeat would be asked
    SMTP                           any e-mail
    GET  /?after=N                 what came after the first N: [{"at": …, "by": …, "to": …, "body": …}], oldest first
"""

from __future__ import annotations

import json
import os
import socketserver
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Received:
    messages: list[dict[str, Any]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, by: str, to: str, body: Any) -> None:
        with self._lock:
            self.messages.append({"at": time.time(), "by": by, "to": to, "body": body})

    def so_far(self) -> list[dict[str, Any]]:
        with self._lock:
            return list(self.messages)


def http_server(port: int, received: Received) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = int((parse_qs(urlsplit(self.path).query).get("after") or ["0"])[0])
            self._answer(json.dumps(received.so_far()[known:]).encode())

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            by = self.path.strip("/")
            received.add(by, body.get("channel", "") if by == "slack" else by, body)
            self._answer(b"{}")

        def _answer(self, text: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            pass

    return ThreadingHTTPServer(("", port), Handler)


def smtp_server(port: int, received: Received) -> socketserver.ThreadingTCPServer:
    class Handler(socketserver.StreamRequestHandler):
        """As much of SMTP (RFC 5321) as a sender without errors needs."""

        def handle(self) -> None:
            to: list[str] = []
            self._say("220 here")
            while line := self.rfile.readline().decode().strip():
                verb = line.partition(" ")[0].upper()
                if verb == "RCPT":
                    to.append(line.partition("<")[2].partition(">")[0])
                if verb == "DATA":
                    self._say("354 go on")
                    received.add("email", ", ".join(to), self._message())
                    to = []
                self._say("221 bye" if verb == "QUIT" else "250 fine")
                if verb == "QUIT":
                    return

        def _message(self) -> str:
            lines = iter(lambda: self.rfile.readline().decode().rstrip("\r\n"), ".")
            return "\n".join(line.removeprefix(".") for line in lines)

        def _say(self, text: str) -> None:
            self.wfile.write(f"{text}\r\n".encode())

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

    return Server(("", port), Handler)


def main() -> None:
    received = Received()
    mail = smtp_server(int(os.environ.get("SMTP_PORT", "1025")), received)
    threading.Thread(target=mail.serve_forever, daemon=True).start()
    http_server(int(os.environ.get("HTTP_PORT", "8080")), received).serve_forever()


if __name__ == "__main__":
    main()
