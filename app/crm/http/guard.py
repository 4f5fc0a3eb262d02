"""What cannot be read is answered as well: counted, logged and in the one shape of errors."""

from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any

from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest

UNREADABLE = "crm.unreadable"


class Guard:
    """Around the WSGI application: hands it only what it can make a request of, for what it fails to read ends outside
    of all middleware, in a page of the web server and a line of the log with the whole query string.
    """

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        try:
            _join_chunks(environ)
            _ = WSGIRequest(dict(environ)).GET
        # Parameters of Content-Type may name any codec of Python, and each fails in its own way.
        except Exception:  # noqa: BLE001
            environ |= {"CONTENT_TYPE": "", "CONTENT_LENGTH": "", "QUERY_STRING": "", UNREADABLE: True}
        return self._application(environ, start_response)


def _join_chunks(environ: dict[str, Any]) -> None:
    """Read a body that comes in chunks: Django reads only as much as Content-Length says, which is nothing."""
    if environ.get("HTTP_TRANSFER_ENCODING") and environ.get("wsgi.input_terminated"):
        body = environ["wsgi.input"].read((settings.DATA_UPLOAD_MAX_MEMORY_SIZE or 0) + 1)
        environ |= {"wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))}
