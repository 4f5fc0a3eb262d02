"""Which Host headers are answered."""

from django.http import HttpRequest, HttpResponsePermanentRedirect
from django.middleware.common import CommonMiddleware

from crm.http.endpoint import is_probe


class HostCheck(CommonMiddleware):
    """Django's check of the Host header, except for probes and scrapes.

    Those name a pod's address or a Service, which no list can know beforehand, and their answers are made
    without the header.
    """

    def process_request(self, request: HttpRequest) -> HttpResponsePermanentRedirect | None:
        return None if is_probe(request) else super().process_request(request)
