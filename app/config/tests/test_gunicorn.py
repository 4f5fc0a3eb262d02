"""What gunicorn does by itself: with what it cannot make a request of, and with connections."""

import json
import socket
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest

from config.tests.test_processes import Web, web_in

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def web(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    with web_in(tmp_path_factory.mktemp("web")) as web:
        yield web


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /?dora@example.com as HTTP/1.1", 400),
        (b"GET / HTTP/9.9", 400),
        (b"g{t / HTTP/1.1", 400),
        (b"GET / HTTP/1.1\r\nno header", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: dora@example.com", 400),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding: dora@example.com", 400),
        (b"GET /" + b"a" * 5000 + b" HTTP/1.1", 414),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 10_000, 431),
        (b"GET / HTTP/1.1" + b"\r\nX: a" * 200, 431),
        (b"GET / HTTP/1.1\r\nExpect: dora@example.com", 417),
    ],
)
def test_what_is_no_request_is_answered_counted_and_closed(web: Web, head: bytes, status: int) -> None:
    series = f'django_requests_total{{endpoint="unmatched",method="OTHER",status="{status}"}}'
    before = web.metric(series)
    with socket.create_connection(("127.0.0.1", web.port), timeout=15) as client:
        client.sendall(head + b"\r\n\r\n")
        answer = HTTPResponse(client)
        answer.begin()
        text = answer.read().decode()
    assert (answer.status, answer.headers["Content-Type"]) == (status, "application/json")
    error = json.loads(text)["error"]
    assert error == {
        "code": "bad_request",
        "message": "The request could not be read.",
        "request_id": answer.headers["X-Request-ID"],
    }
    assert (answer.headers["Connection"], answer.headers["X-CRM-Version"]) == ("close", "1.2.3")
    assert error["request_id"]
    assert web.metric(series) == before + 1


def test_no_word_of_it_is_logged(web: Web) -> None:
    assert "Invalid request from ip=127.0.0.1" in Path(web.role._log).read_text()
    assert "dora" not in web.role.output()


@pytest.mark.parametrize(
    ("body", "connection"),
    [
        (b" " * 60_000, "keep-alive"),
        (b" " * 100_000, "close"),
        (b" " * 2_700_000, "close"),
        (iter([b" "]), "close"),
    ],
)
def test_a_connection_that_ends_after_an_answer_says_so(web: Web, body: bytes, connection: str) -> None:
    """401, before anybody reads the body; gunicorn reads some of what is left, and then hangs up."""
    http = HTTPConnection("127.0.0.1", web.port, timeout=15)
    try:
        for _ in range(2):
            http.request("POST", "/api/v1/deals/", body, {"Content-Type": "application/json"})
            answer = http.getresponse()
            assert answer.headers["Connection"] == connection
            assert answer.read()
            body = b""
            connection = "keep-alive"
    finally:
        http.close()
