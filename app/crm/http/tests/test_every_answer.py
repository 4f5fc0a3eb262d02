import json
import logging

import pytest
from django.db import OperationalError
from django.test import Client, override_settings
from rest_framework.test import APIClient

from crm.http.log_lines import JsonLines, OnlyExceptions


@pytest.mark.parametrize(
    ("path", "host", "status"),
    [("/", "testserver", 200), ("/nowhere", "testserver", 404), ("/", "evil.example.com", 400)],
)
def test_version_and_security_headers(client: Client, path: str, host: str, status: int) -> None:
    answer = client.get(path, headers={"host": host})
    assert answer.status_code == status
    assert answer["X-CRM-Version"] == "1.2.3"
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Security-Policy"].startswith("default-src 'none'")
    assert answer["X-Request-ID"]
    assert answer["Content-Type"] == "application/json"
    if status != 200:
        assert answer.json()["error"]["request_id"] == answer["X-Request-ID"]


@pytest.mark.parametrize("path", ["/health/live/", "/metrics"])
def test_probes_may_name_any_host(client: Client, path: str) -> None:
    assert client.get(path, headers={"host": "10.1.2.3:8000"}).status_code == 200


def test_the_first_page_leads_on(client: Client) -> None:
    page = client.get("/").json()
    assert page["version"] == "1.2.3"
    assert page["deals"] == "/api/v1/deals/"
    assert client.post("/").status_code == 405


def test_one_line_a_request(api: APIClient, caplog: pytest.LogCaptureFixture, alice: object) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    with caplog.at_level(logging.INFO):
        api.get(
            "/api/v1/deals/?page=1",
            headers={"x-request-id": "from-the-caller", "traceparent": f"00-{trace}-b7ad6b7169203331-01"},
        )
        api.get("/health/live/")
    [record] = caplog.records
    fields = record.fields  # type: ignore[attr-defined]
    assert fields["endpoint"] == "deals-list"
    assert (fields["method"], fields["path"], fields["status"]) == ("GET", "/api/v1/deals/", 200)
    assert fields["trace_id"] == trace
    assert fields["user"] == alice.pk  # type: ignore[attr-defined]
    assert fields["milliseconds"] > 0


@pytest.mark.parametrize("given", ["", "two words", "x" * 65, "ünsafe"])
def test_a_strange_request_id_is_replaced(client: Client, given: str) -> None:
    answer = client.get("/", headers={"x-request-id": given})
    assert answer["X-Request-ID"] != given
    assert len(answer["X-Request-ID"]) == 32


def test_other_origins_may_read_only_if_listed(client: Client) -> None:
    ours = client.get("/", headers={"origin": "https://app.example.com"})
    assert ours["Access-Control-Allow-Origin"] == "https://app.example.com"
    assert "Access-Control-Allow-Origin" not in client.get(
        "/", headers={"origin": "https://evil.example.com"}
    )


def test_an_error_of_ours_is_a_500_that_tells_nothing(
    api: APIClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("crm.deals.api.views.DealViewSet.list", fail)
    api.raise_request_exception = False
    answer = api.get("/api/v1/deals/")
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "server_error"
    assert "secret" not in answer.content.decode()
    assert answer["X-CRM-Version"] == "1.2.3"
    [unhandled] = [record for record in caplog.records if record.name == "django.request"]
    assert OnlyExceptions().filter(unhandled)
    assert "secret detail" in json.loads(JsonLines("1.2.3", "web").format(unhandled))["exception"]


def test_a_database_that_is_away_is_a_503(api: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OperationalError("connection to 10.0.0.1 refused")

    monkeypatch.setattr("crm.deals.api.views.DealViewSet.list", fail)
    answer = api.get("/api/v1/deals/")
    assert answer.status_code == 503
    assert answer["Retry-After"] == "5"
    assert "10.0.0.1" not in answer.content.decode()


@pytest.mark.parametrize(
    ("method", "body", "content_type", "status", "code"),
    [
        ("put", "{}", "application/json", 405, "method_not_allowed"),
        ("post", "{", "application/json", 400, "parse_error"),
        ("post", "[" * 5000, "application/json", 400, "parse_error"),
        ("post", '{"a":' * 5000, "application/json", 400, "parse_error"),
        ("post", '{"amount": ' + "9" * 5000 + "}", "application/json", 400, "parse_error"),
        ("post", "[]", "application/json", 400, "invalid"),
        ("post", "a=b", "text/plain", 415, "unsupported_media_type"),
    ],
)
def test_a_malformed_request_gets_the_one_error_shape(
    api: APIClient, method: str, body: str, content_type: str, status: int, code: str
) -> None:
    answer = api.generic(method.upper(), "/api/v1/deals/", body, content_type=content_type)
    assert answer.status_code == status
    assert answer.json()["error"]["code"] == code


@pytest.mark.parametrize("path", ["/", "/metrics", "/health/live/"])
def test_what_no_page_of_ours_may_post_is_refused_in_the_one_error_shape(path: str) -> None:
    answer = Client(enforce_csrf_checks=True).post(path)
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "forbidden"


def test_a_body_that_is_too_large_is_413(api: APIClient) -> None:
    for path in ("/api/v1/deals/", "/"):
        answer = api.generic("POST", path, " " * 2_700_000, content_type="application/json")
        assert answer.status_code == 413
        assert answer.json()["error"]["code"] == "too_large"


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
def test_an_address_without_its_slash_keeps_the_method(api: APIClient, method: str) -> None:
    answer = api.generic(method, "/api/v1/deals?page=1", "{}", content_type="application/json")
    assert answer.status_code == 308
    assert answer["Location"] == "/api/v1/deals/?page=1"


@override_settings(SECURE_SSL_REDIRECT=True)
def test_a_redirect_to_https_keeps_the_method() -> None:
    answer = Client().post("/api/v1/auth/token/", {})
    assert (answer.status_code, answer["Location"]) == (308, "https://testserver/api/v1/auth/token/")


def test_an_exception_is_told_without_the_values_of_rows() -> None:
    refused = OperationalError("duplicate key\nDETAIL:  Key (email)=(alice@example.com) already exists.\n")
    because = (OperationalError, refused, None)
    record = logging.LogRecord("crm", logging.ERROR, __file__, 1, "failed", (), because)
    told = json.loads(JsonLines("1.2.3", "web").format(record))["exception"]
    assert "duplicate key" in told
    assert "alice" not in told


def test_a_log_line_is_json() -> None:
    record = logging.LogRecord("crm", logging.INFO, __file__, 1, "took %d", (5,), None)
    record.fields = {"user": 7}
    line = json.loads(JsonLines("1.2.3", "web").format(record))
    assert (line["message"], line["level"], line["user"]) == ("took 5", "INFO", 7)
    assert (line["version"], line["role"]) == ("1.2.3", "web")
    assert not OnlyExceptions().filter(record)
