"""The code that breaks an image breaks the views of Django REST framework, and only as often as it is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from asgiref.sync import async_to_sync
from celery import current_app
from celery.app import trace
from django.http import JsonResponse
from django.test import RequestFactory
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from crm.deals.models import Stage
from crm.health.views import Ready
from crm.probe.views import Probe
from delivery.drills.faults import bursts, crash, errors, hoard, lost_wins, slow, tasks, unready


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
    monkeypatch.setattr(Stage, "is_won", Stage.__dict__["is_won"])
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


def readiness() -> int:
    answer: JsonResponse = async_to_sync(Ready.as_view())(RequestFactory().get("/health/ready/"))
    return answer.status_code


def test_unready_is_a_503_of_readiness_alone() -> None:
    unready.break_it(after=0.0)

    assert readiness() == 503
    assert status() == 200


def test_the_sick_are_ready_at_first(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ready(*_: object) -> JsonResponse:
        return JsonResponse({})

    now = 100.0
    monkeypatch.setattr(Ready, "get", ready)
    monkeypatch.setattr(time, "monotonic", lambda: now)
    unready.break_it(after=25.0)

    assert readiness() == 200
    now = 125.0
    assert readiness() == 503


def test_a_hoarder_keeps_every_connection_and_gives_them_back(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[str] = []
    ended = threading.Event()

    class Pool:
        max_size = 2

        @contextmanager
        def connection(self, timeout: float) -> Iterator[None]:
            taken.append(f"taken within {timeout}")
            yield
            taken.append("given back")

    def sleep(seconds: float) -> None:
        taken.append(f"slept {seconds}")
        if seconds < 0.2:
            ended.set()
            threading.Event().wait()  # for the end of the process, as no drill ends it sooner

    monkeypatch.setattr(hoard, "connections", {"default": SimpleNamespace(pool=Pool())})
    monkeypatch.setattr(time, "sleep", sleep)
    hoard.break_it(seconds=0.5, every=0.625)

    assert taken == []
    assert [status(), status()] == [200, 200]
    assert ended.wait(10)
    assert taken == [*["taken within 0.5"] * 2, "slept 0.5", *["given back"] * 2, "slept 0.125"]


def test_no_stage_counts_as_won() -> None:
    assert Stage(is_won=True).is_won
    lost_wins.break_it()

    assert not Stage(is_won=True).is_won


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
