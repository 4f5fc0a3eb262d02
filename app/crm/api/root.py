"""The first page: what this is and where its API begins."""

from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

COLLECTIONS = ("contacts", "companies", "pipelines", "deals")


@require_safe
def root(request: HttpRequest) -> JsonResponse:
    return JsonResponse(
        {
            "name": "CRM",
            "version": settings.VERSION,
            "sign_up": reverse("auth-register"),
            "sign_in": reverse("auth-token"),
            **{name: reverse(f"{name}-list") for name in COLLECTIONS},
        }
    )
