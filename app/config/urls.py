"""Every address of the CRM. An address' name is the label `endpoint` of its requests' metrics."""

from django.urls import include, path
from rest_framework.routers import SimpleRouter

from crm.api.root import root
from crm.companies.api.views import CompanyViewSet
from crm.contacts.api.views import ContactViewSet
from crm.deals.api.views import DealViewSet, PipelineViewSet
from crm.health.views import Deep, Live, Ready
from crm.probe.views import Probe

router = SimpleRouter()
for name, viewset in (
    ("companies", CompanyViewSet),
    ("contacts", ContactViewSet),
    ("pipelines", PipelineViewSet),
    ("deals", DealViewSet),
):
    router.register(name, viewset, basename=name)

urlpatterns = [
    path("", root, name="root"),
    path("health/", Deep.as_view(), name="health"),
    path("health/live/", Live.as_view(), name="health-live"),
    path("health/ready/", Ready.as_view(), name="health-ready"),
    path("metrics", include("crm.metrics.urls")),
    # Metrics leave `probe` out where only users count.
    path("probe/", Probe.as_view(), name="probe"),
    path("api/v1/", include("crm.authentication.api.urls")),
    path("api/v1/", include(router.urls)),
]

handler400 = "crm.api.errors.bad_request"
handler403 = "crm.api.errors.forbidden"
handler404 = "crm.api.errors.not_found"
handler500 = "crm.api.errors.server_error"
