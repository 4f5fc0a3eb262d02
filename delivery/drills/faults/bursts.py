# A drill's fault, appended to the module that gunicorn loads: for some seconds of every so many, each request of the
# API ends in an exception inside the view. All pods have their bursts at the same time.
import time

from rest_framework.request import Request
from rest_framework.views import APIView


def break_it(seconds: float, every: float) -> None:
    prepare = APIView.initial

    def initial(view: APIView, request: Request, *args: object, **kwargs: object) -> None:
        if time.time() % every < seconds:
            raise RuntimeError("a drill broke this view for a moment")
        prepare(view, request, *args, **kwargs)

    APIView.initial = initial  # type: ignore[method-assign,assignment]
