"""The scrape of the web process."""

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest

from crm.metrics import business, cache  # noqa: F401  (their counters are there from the start, at 0)
from crm.metrics.database_pool import DatabasePool

REGISTRY.register(DatabasePool())


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    return HttpResponse(generate_latest(REGISTRY), content_type=CONTENT_TYPE_LATEST)
