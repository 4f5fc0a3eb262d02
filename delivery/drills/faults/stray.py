# A drill's fault, appended to the module that gunicorn loads: one single request of all that the release answers in
# five minutes ends in an exception. Its pods agree on which by the cache.
from django.conf import settings
from django.core.cache import cache
from rest_framework.request import Request
from rest_framework.views import APIView


def break_it() -> None:
    prepare = APIView.initial

    def initial(view: APIView, request: Request, *args: object, **kwargs: object) -> None:
        if cache.add(f"a-drills-stray-error-of-{settings.VERSION}", 1, timeout=300):
            raise RuntimeError("a drill broke this one request")
        prepare(view, request, *args, **kwargs)

    APIView.initial = initial  # type: ignore[method-assign,assignment]
