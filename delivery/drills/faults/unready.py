# A drill's fault, appended to the module that gunicorn loads: the process answers, and is never ready.
from django.http import HttpRequest, JsonResponse

from crm.health.views import Ready


def break_it() -> None:
    async def get(_view: Ready, _request: HttpRequest) -> JsonResponse:
        return JsonResponse({"status": "unhealthy", "checks": {"drill": "unavailable"}}, status=503)

    Ready.get = get  # type: ignore[assignment,method-assign]
