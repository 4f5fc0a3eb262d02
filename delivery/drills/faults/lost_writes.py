# A drill's fault, appended to the module that gunicorn loads: the API answers as always, and keeps nothing.
from typing import Any

from django.db import transaction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from rest_framework.views import APIView


def break_it() -> None:
    answer = APIView.dispatch

    def dispatch(view: APIView, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method == "GET":
            return answer(view, request, *args, **kwargs)
        with transaction.atomic():
            response = answer(view, request, *args, **kwargs)
            transaction.set_rollback(True)
        return response

    APIView.dispatch = dispatch  # type: ignore[method-assign,assignment]
