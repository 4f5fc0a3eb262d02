"""One log line a request, and an id that ties every line of the request together."""

import logging
import re
import uuid
from collections.abc import Callable
from http import HTTPStatus
from time import perf_counter

from django.http import HttpRequest, HttpResponse

from crm.http.endpoint import UNMATCHED, endpoint_of, is_probe
from crm.http.log_lines import request_id

logger = logging.getLogger("crm.request")

_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


class RequestLog:
    """Takes the caller's X-Request-ID if it is harmless, else makes one; answers with it and logs it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        started = perf_counter()
        given = request.headers.get("X-Request-ID", "")
        token = request_id.set(given if _ID.fullmatch(given) else uuid.uuid4().hex)
        try:
            response = self._get_response(request)
            response["X-Request-ID"] = request_id.get()
            self._log(request, response, milliseconds=round((perf_counter() - started) * 1000, 1))
        finally:
            request_id.reset(token)
        return response

    def _log(self, request: HttpRequest, response: HttpResponse, *, milliseconds: float) -> None:
        quiet = is_probe(request) and response.status_code < HTTPStatus.BAD_REQUEST
        endpoint = endpoint_of(request)
        fields: dict[str, object] = {
            "method": request.method,
            "endpoint": endpoint,
            # Where there is no such route the path is a stranger's own words, perhaps somebody's name or address.
            "path": None if endpoint == UNMATCHED else request.path,
            "status": response.status_code,
            "milliseconds": milliseconds,
            "user": getattr(getattr(request, "user", None), "pk", None),
        }
        if trace := _TRACEPARENT.fullmatch(request.headers.get("traceparent", "")):
            fields["trace_id"] = trace.group(1)
        logger.log(logging.DEBUG if quiet else logging.INFO, "request", extra={"fields": fields})
