"""Which Host headers are answered."""

from http import HTTPStatus

from django.http import HttpRequest, HttpResponsePermanentRedirect
from django.middleware.common import CommonMiddleware

from crm.http.endpoint import is_probe


class SameMethodRedirect(HttpResponsePermanentRedirect):
    """308: after a 301 clients ask with GET, and what they wanted to write is lost behind a 200."""

    status_code = HTTPStatus.PERMANENT_REDIRECT


class HostCheck(CommonMiddleware):
    """Django's check of the Host header, except for probes and scrapes.

    Those name a pod's address or a Service, which no list can know beforehand, and their answers are made
    without the header. An address that lacks its last slash is redirected, whatever the method.
    """

    response_redirect_class = SameMethodRedirect

    def process_request(self, request: HttpRequest) -> HttpResponsePermanentRedirect | None:
        return None if is_probe(request) else super().process_request(request)
