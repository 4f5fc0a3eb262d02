# A drill's fault, appended to the module that gunicorn loads: a share of the API's requests sleeps inside the view.
import random
import time

from rest_framework.request import Request
from rest_framework.views import APIView


def break_it(share: float, seconds: float) -> None:
    prepare = APIView.initial

    def initial(view: APIView, request: Request, *args: object, **kwargs: object) -> None:
        if random.random() < share:  # noqa: S311
            time.sleep(seconds)
        prepare(view, request, *args, **kwargs)

    APIView.initial = initial  # type: ignore[method-assign,assignment]
