"""The code that breaks an image breaks the views of Django REST framework, and only as often as it is told."""

from __future__ import annotations

import time

import pytest
from asgiref.sync import async_to_sync
from celery import current_app
from celery.app import trace
from django.test import RequestFactory
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from crm.health.views import Ready
from crm.probe.views import Probe
from delivery.drills.faults import bursts, crash, errors, slow, tasks, unready


class Greeting(APIView):
    authentication_classes = ()
    permission_classes = (AllowAny,)

    def get(self, request: Request) -> Response:
        return Response(f"hello {request.method}")


@pytest.fixture(autouse=True)
def mended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts what the faults replace back after the test."""
    monkeypatch.setattr(APIView, "initial", APIView.initial)
    monkeypatch.setattr(APIView, "dispatch", APIView.dispatch)
    monkeypatch.setattr(Ready, "get", Ready.get)
    monkeypatch.setattr(current_app.Task, "__call__", current_app.Task.__call__)


def status() -> int:
    return Greeting.as_view()(APIRequestFactory().get("/")).status_code


def test_errors_raise_inside_the_view() -> None:
    errors.break_it(share=1.0)

    with pytest.raises(RuntimeError, match="a drill broke this view"):
        status()


def test_what_breaks_users_requests_breaks_probes() -> None:
    """At night a bad release has to be found by probes alone."""
    probed = RequestFactory().get("/probe/", headers={"host": "canary.internal", "x-crm-probe": "1"})
    errors.break_it(share=1.0)

    with pytest.raises(RuntimeError, match="a drill broke this view"):
        Probe.as_view()(probed)


def test_a_share_of_nothing_breaks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", pytest.fail)
    errors.break_it(share=0.0)
    slow.break_it(share=0.0, seconds=3.0)

    assert status() == 200


def test_slow_sleeps_inside_the_view_and_answers_well(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    slow.break_it(share=1.0, seconds=3.0)

    assert status() == 200
    assert slept == [3.0]


@pytest.mark.parametrize(("now", "fails"), [(100.0, True), (103.9, True), (104.1, False), (119.9, False)])
def test_bursts_come_and_go(monkeypatch: pytest.MonkeyPatch, now: float, fails: bool) -> None:
    monkeypatch.setattr(time, "time", lambda: now)
    bursts.break_it(seconds=4.0, every=20.0)

    if fails:
        with pytest.raises(RuntimeError, match="for a moment"):
            status()
    else:
        assert status() == 200


def test_a_crash_ends_the_process_that_loads_it() -> None:
    with pytest.raises(RuntimeError, match="end while it starts"):
        crash.break_it()


def test_unready_is_a_503_of_readiness_alone() -> None:
    unready.break_it()

    answer = async_to_sync(Ready.as_view())(RequestFactory().get("/health/ready/"))
    assert answer.status_code == 503
    assert status() == 200


def test_every_task_fails_in_a_worker() -> None:
    """A worker protects celery.Task itself from being changed."""

    @current_app.task(name="drill.greet")
    def greet() -> str:
        return "hello"

    trace.setup_worker_optimizations(current_app)
    try:
        assert greet.apply().result == "hello"
        tasks.break_it()
        with pytest.raises(RuntimeError, match="broke the task"):
            greet.apply(throw=True)
    finally:
        trace.reset_worker_optimizations(current_app)
