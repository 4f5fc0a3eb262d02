# A drill's fault, appended to the module that gunicorn loads: a share of the API's requests ends in an exception inside
# the view, which Django answers with 500.
import random

from rest_framework.request import Request
from rest_framework.views import APIView


def break_it(share: float) -> None:
    prepare = APIView.initial

    def initial(view: APIView, request: Request, *args: object, **kwargs: object) -> None:
        if random.random() < share:  # noqa: S311
            raise RuntimeError("a drill broke this view")
        prepare(view, request, *args, **kwargs)

    APIView.initial = initial  # type: ignore[method-assign,assignment]
