"""Whatever a server does, its answer has an end."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable

import httpx
import pytest

from delivery import web
from delivery.images.tests.test_registry import serving
from delivery.tests import slow


@pytest.mark.parametrize(
    "pieces",
    [
        slow.SILENCE,
        [b"HTTP/1.1 200 OK\r\nX-Slow: ", *itertools.repeat(b"x", 1000)],
        [b"HTTP/1.1 200 OK\r\n\r\n", *itertools.repeat(b"x", 1000)],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", *itertools.repeat(b"x", 1000)],
        [b"HTTP/1.1 100 Continue\r\n\r\n"] * 1000,
    ],
    ids=["silent", "headers", "body", "body of a length", "continue"],
)
def test_an_answer_that_does_not_end_is_given_up(pieces: Iterable[bytes]) -> None:
    began = time.monotonic()
    with (
        slow.server(pieces) as (port, _),
        web.client() as client,
        pytest.raises(httpx.TimeoutException),
    ):
        web.get(client, f"http://127.0.0.1:{port}/", seconds=0.5, most=1000)
    assert time.monotonic() - began < 3


def test_a_large_answer_is_given_up() -> None:
    with (
        serving(lambda *_: (200, {}, b"x" * 1001)) as host,
        web.client() as client,
        pytest.raises(httpx.ReadError, match="more than 1,000 bytes"),
    ):
        web.get(client, f"http://{host}/", seconds=10, most=1000)


def test_a_packed_answer_is_not_unpacked() -> None:
    with (
        serving(lambda *_: (200, {"Content-Encoding": "gzip"}, b"x")) as host,
        web.client() as client,
        pytest.raises(httpx.DecodingError),
    ):
        web.get(client, f"http://{host}/", seconds=10, most=1000)


def test_redirects_are_followed_a_few_times() -> None:
    asked: list[str] = []

    def answer(path: str, _: str | None) -> tuple[int, dict[str, str], bytes]:
        asked.append(path)
        return (200, {}, b"there") if path == "/there" else (302, {"Location": "/there"}, b"x" * 900)

    with serving(answer) as host, web.client() as client:
        assert web.get(client, f"http://{host}/here", seconds=10, most=1000).text == "there"
    assert asked == ["/here", "/there"]
    with (
        serving(lambda *_: (302, {"Location": "/"}, b"")) as host,
        web.client() as client,
        pytest.raises(httpx.TooManyRedirects),
    ):
        web.get(client, f"http://{host}/", seconds=10, most=1000)
