"""What gunicorn cannot parse: nothing that Django could be asked, and answered and counted all the same."""

import socket
import uuid
from http import HTTPStatus

from django.conf import settings
from django.http import HttpRequest
from gunicorn.util import write_nonblock  # type: ignore[import-untyped]

from crm.api.errors import bad_request, server_error
from crm.http.endpoint import UNMATCHED
from crm.http.log_lines import request_id
from crm.metrics.middleware import RequestMetricFamilies


def answer(client: socket.socket, status: int, reason: str, _message: str) -> None:
    """In place of gunicorn.util.write_error, whose page repeats what a stranger wrote."""
    if status == HTTPStatus.NOT_IMPLEMENTED:  # an unknown Transfer-Encoding: no failure of ours
        status, reason = HTTPStatus.BAD_REQUEST.value, "Bad Request"
    is_ours = status >= HTTPStatus.INTERNAL_SERVER_ERROR
    token = request_id.set(uuid.uuid4().hex)
    try:
        response = server_error(HttpRequest()) if is_ours else bad_request(HttpRequest())
        response["X-Request-ID"] = request_id.get()
    finally:
        request_id.reset(token)
    response["X-CRM-Version"] = settings.VERSION
    response["Content-Length"] = str(len(response.content))
    response["Connection"] = "close"
    caller = "" if is_ours else "stranger"
    RequestMetricFamilies.get_instance().requests.labels("OTHER", UNMATCHED, str(status), caller).inc()
    head = f"HTTP/1.1 {status} {reason}\r\n".encode() + response.serialize_headers()
    write_nonblock(client, head + b"\r\n\r\n" + response.content)
