# A drill's fault, appended to the module that gunicorn loads: the process answers, and is not ready after some seconds.
import time

from django.http import HttpRequest, JsonResponse

from crm.health.views import Ready


def break_it(after: float) -> None:
    ready, started = Ready.get, time.monotonic()

    async def get(view: Ready, request: HttpRequest) -> JsonResponse:
        if time.monotonic() - started < after:
            return await ready(view, request)
        return JsonResponse({"status": "unhealthy", "checks": {"drill": "unavailable"}}, status=503)

    Ready.get = get  # type: ignore[assignment,method-assign]
