"""The scrape of the web process."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Gauge, generate_latest

from crm.metrics import business, cache  # noqa: F401  (their counters are there from the start, at 0)
from crm.metrics.database_pool import DatabasePool

REGISTRY.register(DatabasePool())
Gauge("crm_build_info", "1, and which version of the CRM this is.", ["version"]).labels(settings.VERSION).set(
    1
)


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    return HttpResponse(generate_latest(REGISTRY), content_type=CONTENT_TYPE_LATEST)
