"""Log lines as JSON objects, each with the id of the request in which it was written."""

import json
import logging
import re
from contextvars import ContextVar
from datetime import UTC, datetime

_DETAIL = re.compile(r"^DETAIL:.*", re.MULTILINE)

request_id: ContextVar[str] = ContextVar("request_id", default="")


class OnlyExceptions(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return bool(record.exc_info)


class NotTheirWords(logging.Filter):
    """Of a request that gunicorn could not parse it repeats the line, with whatever a stranger wrote there."""

    def filter(self, record: logging.LogRecord) -> bool:
        if str(record.msg).startswith("Invalid request from"):
            record.msg = str(record.msg).partition(": ")[0]
        return True


class JsonLines(logging.Formatter):
    """One JSON object a record; `logger.info(text, extra={"fields": {…}})` adds fields of its own.

    `role` is that of the process: web, worker, beat or migrate.
    """

    def __init__(self, version: str, role: str) -> None:
        super().__init__()
        self._version = version
        self._role = role

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "version": self._version,
            "role": self._role,
        }
        if request_id.get():
            line["request_id"] = request_id.get()
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            # PostgreSQL's detail names the values of the row that it refused.
            line["exception"] = _DETAIL.sub("DETAIL: …", self.formatException(record.exc_info))
        return json.dumps(line, default=str)
