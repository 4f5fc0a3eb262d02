"""A mail server of the tests: it takes its time, or never answers."""

import socketserver
import threading
import time
from typing import Any, Self


class MailServer:
    """`with MailServer(seconds=0.1) as mail:` answers each command after so long; `hangs=True` answers none.

    `hangs_at` is a command from which on it answers nothing; `held=True` answers nobody before `may_answer` is set.
    `is_asked` is set once somebody has connected. What was taken is in `messages`, as it came.
    """

    def __init__(
        self, *, seconds: float = 0, hangs: bool = False, hangs_at: str = "", held: bool = False
    ) -> None:
        self.messages: list[str] = []
        self.is_asked, self.may_answer, self._ended = (threading.Event() for _ in range(3))
        if not held:
            self.may_answer.set()
        taken, is_asked, may_answer, ended = self.messages, self.is_asked, self.may_answer, self._ended

        class Handler(socketserver.StreamRequestHandler):
            """As much of SMTP (RFC 5321) as a sender without errors needs."""

            def handle(self) -> None:
                if hangs:
                    ended.wait()
                    return
                is_asked.set()
                may_answer.wait()
                self._say("220 here")
                while line := self.rfile.readline().decode().strip():
                    verb = line.partition(" ")[0].upper()
                    if verb == hangs_at:
                        ended.wait()
                        return
                    if verb == "DATA":
                        self._say("354 go on")
                        taken.append("".join(iter(lambda: self.rfile.readline().decode(), ".\r\n")))
                    self._say("221 bye" if verb == "QUIT" else "250 fine")

            def _say(self, text: str) -> None:
                time.sleep(seconds)
                self.wfile.write(f"{text}\r\n".encode())

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            request_queue_size = 100

            def handle_error(self, *_: Any) -> None:
                """Whoever has given up waiting is no error of ours."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = int(self._server.server_address[1])

    def __enter__(self) -> Self:
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        ).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.may_answer.set()
        self._server.shutdown()
        self._server.server_close()
