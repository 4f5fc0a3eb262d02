"""Requests that no view is to read."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse

from crm.api.errors import bad_request, envelope
from crm.http.guard import UNREADABLE


class Readable:
    """Refuses what the guard could not read, and a body that is too large before anybody reads it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self._get_response(request)

    def process_view(self, request: HttpRequest, *_: Any) -> HttpResponse | None:
        """Called once it is known for which endpoint the answer counts."""
        if request.META.get(UNREADABLE):
            return bad_request(request)
        length = str(request.META.get("CONTENT_LENGTH") or 0)
        most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE or 0
        if length.isdecimal() and int(length) > most:
            return JsonResponse(envelope("too_large", f"The body is larger than {most} bytes."), status=413)
        return None
