"""The code that breaks an image breaks the views of Django REST framework, and only as often as it is told."""

from __future__ import annotations

import time

import pytest
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from delivery.drills.faults import errors, slow


class Greeting(APIView):
    authentication_classes = ()
    permission_classes = (AllowAny,)

    def get(self, request: Request) -> Response:
        return Response(f"hello {request.method}")


@pytest.fixture(autouse=True)
def mended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts the view's method back after the test."""
    monkeypatch.setattr(APIView, "initial", APIView.initial)


def status() -> int:
    return Greeting.as_view()(APIRequestFactory().get("/")).status_code


def test_errors_raise_inside_the_view() -> None:
    errors.break_the_api(share=1.0)

    with pytest.raises(RuntimeError, match="a drill broke this view"):
        status()


def test_a_share_of_nothing_breaks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", pytest.fail)
    errors.break_the_api(share=0.0)
    slow.break_the_api(share=0.0, seconds=3.0)

    assert status() == 200


def test_slow_sleeps_inside_the_view_and_answers_well(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    slow.break_the_api(share=1.0, seconds=3.0)

    assert status() == 200
    assert slept == [3.0]
