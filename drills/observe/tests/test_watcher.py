"""What a drill sees is what the API server reported last, however its long requests end."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kubernetes.client import ApiException

from delivery.kubernetes.objects import Object
from delivery.kubernetes.rollout import RolloutStatus
from drills.errors import NotReady
from drills.observe import watcher
from drills.observe.watcher import Informer, Informers

SECONDS = 5.0


def thing(name: str, **spec: Any) -> Object:
    return {"metadata": {"name": name, "resourceVersion": "7"}, "spec": spec}


class Api:
    """One kind of objects; the test says what a list answers and what a watch reports."""

    def __init__(self, *there: Object) -> None:
        self.there = list(there)
        self.events: queue.Queue[bytes | None] = queue.Queue()
        self.lists = 0
        self.asked_from: list[str] = []
        self.away = False

    def __call__(self, *, watch: bool = False, resource_version: str = "", **_: Any) -> Any:
        if self.away:
            raise OSError("connection refused")
        if watch:
            self.asked_from.append(resource_version)
            return Answer(iter(self.events.get, None))
        self.lists += 1
        return Answer(data=json.dumps({"metadata": {"resourceVersion": "6"}, "items": self.there}).encode())

    def report(self, kind: str, found: Object) -> None:
        self.events.put(json.dumps({"type": kind, "object": found}).encode() + b"\n")

    def end(self) -> None:
        """The API server ends the long request."""
        self.events.put(None)


class Answer:
    status = 200

    def __init__(self, lines: Iterator[bytes] | None = None, data: bytes = b"") -> None:
        self.lines, self.data = lines, data

    def stream(self, **_: Any) -> Iterator[bytes]:
        assert self.lines is not None
        return self.lines

    def close(self) -> None: ...

    def release_conn(self) -> None: ...


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher, "_AT_LEAST_EVERY_SECONDS", 0.02)
    monkeypatch.setattr(watcher, "_GROUP_SECONDS", 0.0)


def become(wanted: Any, look: Callable[[], Any]) -> None:
    """Wait until a look finds what is wanted."""
    found: Any = None
    for _ in range(int(SECONDS / 0.01)):
        try:
            found = look()
        except (NotReady, OSError, ValueError, ApiException) as error:
            found = error
        if found == wanted:
            return
        threading.Event().wait(0.01)
    pytest.fail(f"{found!r} is not {wanted!r}")


def informer(api: Api) -> Informer:
    return Informer(api, threading.Event())


def names(found: Informer) -> list[str]:
    return [each["metadata"]["name"] for each in found.objects]


def test_each_change_is_seen() -> None:
    api = Api(thing("a", size=1))
    found = informer(api)
    become([thing("a", size=1)], lambda: found.objects)
    api.report("ADDED", thing("b"))
    become(["a", "b"], lambda: names(found))
    api.report("MODIFIED", thing("a", size=2))
    become([thing("a", size=2), thing("b")], lambda: found.objects)
    api.report("DELETED", thing("a"))
    become(["b"], lambda: names(found))
    assert (api.lists, api.asked_from) == (1, ["6"])


def test_after_a_long_requests_end_everything_is_read_anew() -> None:
    api = Api(thing("a"))
    found = informer(api)
    become(["a"], lambda: names(found))
    api.there = [thing("c")]
    api.end()
    become(["c"], lambda: names(found))


def test_what_is_too_old_to_be_followed_is_read_anew() -> None:
    api = Api(thing("a"))
    found = informer(api)
    become(["a"], lambda: names(found))
    api.there = [thing("c")]
    api.report("ERROR", {"code": 410, "reason": "Expired", "message": "too old"})
    become(["c"], lambda: names(found))


def test_an_api_server_that_is_away_is_no_empty_cluster() -> None:
    api = Api(thing("a"))
    api.away = True
    found = informer(api)
    with pytest.raises((NotReady, OSError)):
        _ = found.objects
    api.away = False
    become(["a"], lambda: names(found))
    api.away = True
    api.end()
    become("connection refused", lambda: str(_raised(found)))


def _raised(found: Informer) -> Exception | None:
    try:
        _ = found.objects
    except OSError as error:
        return error
    return None


def test_weights_are_read_of_the_router_that_a_release_has() -> None:
    rollout = thing("crm", strategy={"canary": {"trafficRouting": {"traefik": {}}}})
    istio, traefik = Api(), Api(thing("crm", weights="here"))
    istio.away = True
    informers = Informers(
        rollouts=Api(rollout),
        weighted={"traefik": traefik, "istio": istio},
        analysis_runs=Api(),
        pods=Api(thing("p")),
        applications=Api(),
    )
    become(thing("crm", weights="here"), lambda: informers.objects().weighted)
    found = informers.objects()
    assert (found.rollout, found.pods, found.application) == (
        RolloutStatus.parse(rollout),
        [thing("p")],
        None,
    )
    assert not istio.lists
    informers.stop()
