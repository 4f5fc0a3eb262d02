"""Headers of every answer."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse


class ResponseHeaders:
    """Says which version answered, and that an answer is data: nothing in it may be run, loaded or framed."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._get_response(request)
        response["X-CRM-Version"] = settings.VERSION
        response["Content-Security-Policy"] = "default-src 'none'; frame-ancestors 'none'"
        response["Permissions-Policy"] = "camera=(), geolocation=(), microphone=()"
        return response
