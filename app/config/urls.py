"""Every address of the CRM."""

from django.urls import include, path

from crm.api.root import root

urlpatterns = [
    path("", root, name="root"),
    path("health/", include("crm.health.urls")),
    path("metrics", include("crm.metrics.urls")),
    path("probe/", include("crm.probe.urls")),
    path("api/v1/", include("crm.authentication.api.urls")),
    path("api/v1/", include("crm.companies.api.urls")),
    path("api/v1/", include("crm.contacts.api.urls")),
    path("api/v1/", include("crm.deals.api.urls")),
]

handler400 = "crm.api.errors.bad_request"
handler403 = "crm.api.errors.forbidden"
handler404 = "crm.api.errors.not_found"
handler500 = "crm.api.errors.server_error"
