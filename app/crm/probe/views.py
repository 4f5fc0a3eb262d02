"""A probe as JSON: {"status": "ok"}, with 200; an error like every other endpoint's when users would get one."""

from django.conf import settings
from django.core.cache import cache
from django.http.request import split_domain_port, validate_host
from rest_framework.exceptions import NotFound
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from crm.deals import selectors
from crm.deals.api.serializers import DealSerializer, PipelineSerializer
from crm.health.heartbeat import WORKER_KEY

MARK = "X-CRM-Probe"
_DEALS = 20


class Probe(APIView):
    """Takes the way of a user's request and reads what one reads; it writes nothing and tells nothing of what it read.

    Asked with the mark and by a host name that is not the users'. For everybody else it does not exist: strangers
    must not be able to add cheap successes to what a release is judged by.
    """

    authentication_classes = ()
    permission_classes = (AllowAny,)
    throttle_classes = ()
    schema = None  # no part of the API

    def get(self, request: Request) -> Response:
        host, _ = split_domain_port(request.get_host())
        if request.headers.get(MARK) != "1" or not validate_host(host, settings.PROBE_HOSTS):
            raise NotFound
        _read_as_users_do()
        return Response({"status": "ok"})


def _read_as_users_do() -> None:
    # A key that is there: at night little else is asked, and our misses would pass for a cache that forgets.
    cache.get(WORKER_KEY)
    # `data` is what reads, and what a column that is missing would break.
    _ = PipelineSerializer(selectors.pipelines(), many=True).data
    _ = DealSerializer(selectors.deals()[:_DEALS], many=True).data
