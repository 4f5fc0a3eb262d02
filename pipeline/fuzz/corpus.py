"""What strangers have sent, or could: each of these once ended in a 5xx, in silence or in somebody else's place."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import quote

API = "/api/v1/"
LIGATURE, ARABIC, FULL_WIDTH, ZERO_WIDTH = "\ufb01ona", "\ufdfa" * 10, "\uff21lice", "ali\u200bce"
KINDS = ("companies", "contacts", "deals", "pipelines", "auth/invitations")


@dataclass(frozen=True)
class Request:
    """`operation` is the path in the document, by default the request's own without its query."""

    method: str
    path: str
    body: bytes | tuple[bytes, ...] = b""
    """A tuple is sent in chunks."""
    headers: dict[str, str] = field(default_factory=dict)
    operation: str = ""

    @property
    def documented(self) -> str:
        return self.operation or self.path.partition("?")[0]


def requests() -> Iterator[Request]:
    """All of them."""
    yield from _bodies()
    yield from _values()
    yield from _people()
    yield from _headers()
    yield from _queries()
    yield from _addresses()


def _post(path: str, body: object) -> Request:
    return Request("POST", API + path, json.dumps(body).encode())


def _bodies() -> Iterator[Request]:
    bodies = (
        b"[" * 5000,
        b'{"a":' * 5000,
        b'{"amount": ' + b"9" * 5000 + b"}",
        b"",
        b"[]",
        b"null",
        b'"\\ud800"',
        b'{"title": "\\u0000"}',
        b"\xff\xfe",
        b" " * 2_700_000,
        (b"{",),
        (b" " * 2**20,) * 3,
    )
    for body in bodies:
        for path in ("deals/", "auth/register/", "auth/token/"):
            yield Request("POST", API + path, body)
        yield Request("PATCH", f"{API}users/me/", body)
    yield Request("PATCH", f"{API}users/me/", (b'{"first_name":', b' "Jo"}'))


def _values() -> Iterator[Request]:
    deal = {"title": "Deal", "pipeline": 1, "amount": "1"}
    keys = (
        "1e400",
        "-1e400",
        "Infinity",
        "NaN",
        "1.7",
        "true",
        '"1_000"',
        '"\u0661"',
        '"1e400"',
        "9" * 30,
        "[]",
        "{}",
    )
    for name in ("pipeline", "stage", "contact", "company", "amount"):
        for value in (*keys, '"-0.00"', '"1e3"', '" 1"', '"\\u0000"'):
            sent = json.dumps(deal | {name: "?"}).replace('"?"', value)
            yield Request("POST", f"{API}deals/", sent.encode())
    for value in ("1e400", "1.7", '"1_000"', "null"):
        move = f'{{"stage": {value}}}'.encode()
        yield Request("POST", f"{API}deals/1/move/", move, operation=f"{API}deals/{{id}}/move/")
    yield _post("deals/", deal | {"currency": "ABC"})
    yield _post("deals/", deal | {"title": "\u202e\u200b"})
    for change in ({"stage": 4}, {"pipeline": 2}, {"owner": 3}, {"team": 2}, {"id": 2}):
        yield Request("PATCH", f"{API}deals/1/", json.dumps(change).encode(), operation=f"{API}deals/{{id}}/")
    for name in ("website", "phone", "name"):
        yield _post("companies/", {"name": "Company"} | {name: "\0"})
    for email in (
        "a@" + "\u00e9" * 60 + ".com",
        "a@[127.0.0.1]",
        f"{ZERO_WIDTH}@example.com",
        '"a b"@example.com',
    ):
        yield _post("contacts/", {"last_name": "Doe", "email": email})
        yield _post("auth/invitations/", {"email": email})


def _people() -> Iterator[Request]:
    dana = {"username": "dana", "email": "dana@example.com", "password": "correct horse"}
    for change in (
        {"email": "a@" + "\u00e9" * 60 + ".com"},
        {"email": "\uff41@example.com"},
        {"email": "a@" + "b." * 130 + "com"},
        {"username": ARABIC},
        {"username": "\ufb03" * 60},
        {"username": FULL_WIDTH},
        {"username": ZERO_WIDTH},
        {"username": LIGATURE, "email": "fiona@example.com"},
        {"username": "Alice"},
        {"password": "\0" * 20},
        {"invitation": "\0"},
        {"invitation": "4711:x:y"},
    ):
        yield _post("auth/register/", dana | change)
    for name in (LIGATURE, FULL_WIDTH, "\0", "x" * 5000):
        yield _post("auth/token/", {"username": name, "password": "correct horse"})
    for token in ("", "\0", "x.y.z", "x:y:z", "x" * 5000):
        yield _post("auth/token/refresh/", {"refresh": token})
        yield _post("auth/email-proof/", {"proof": token})


def _headers() -> Iterator[Request]:
    types = (
        "application/json; a*=bogus'x'%41",
        "application/json; charset*=us-ascii''%00",
        "application/json; charset=zlib",
        "application/json; charset=idna",
        "application/json; charset=undefined",
        "application/json; charset=\xff",
        "text/plain",
        "multipart/form-data",
        "/",
    )
    for content_type in types:
        yield Request("GET", f"{API}deals/?page=%ff", headers={"Content-Type": content_type})
        yield Request("POST", f"{API}deals/", b"{}", headers={"Content-Type": content_type})
    for name, value in (
        ("Accept", "text/html"),
        ("Accept", ";;,"),
        ("Authorization", "bearer x"),
        ("Authorization", "Bearer"),
        ("Authorization", "Bearer \xff"),
        ("Authorization", "Basic eDp5"),
        ("Cookie", "sessionid=\xff; ="),
        ("X-HTTP-Method-Override", "DELETE"),
        ("X-Request-ID", "two words"),
        ("X-Forwarded-For", "x"),
        ("X-Forwarded-Host", "evil.example.com"),
        ("X-Forwarded-Proto", "https"),
        ("SCRIPT_NAME", "/x"),
        ("Range", "bytes=0-"),
        ("If-None-Match", "*"),
        ("Origin", "null"),
    ):
        yield Request("GET", f"{API}deals/", headers={name: value})


def _queries() -> Iterator[Request]:
    positions = (
        "p=abc",
        "p=%00",
        "p=" + "9" * 30,
        "p=-1",
        "o=" + "9" * 5000,
        "o=1000",
        "r=x",
        "r=1",
        "p=3&r=1&o=2",
    )
    cursors = [quote(b64encode(position.encode()).decode()) for position in positions]
    for kind in KINDS:
        for query in (
            "search=doe",
            "page=" + "9" * 5000,
            "page=0",
            "page=last",
            "page=%00",
            "page_size=1_0",
            "page_size=" + "9" * 5000,
            "page=1&page=2",
            "cursor=",
            "cursor=%ff",
            "cursor=a&page=1",
            *(f"cursor={cursor}" for cursor in cursors),
        ):
            yield Request("GET", f"{API}{kind}/?{query}")
    for key in ("0", "00001", "9" * 30, "9" * 3000):
        yield Request("GET", f"{API}deals/{key}/", operation=f"{API}deals/{{id}}/")
        yield Request("DELETE", f"{API}auth/invitations/{key}/", operation=f"{API}auth/invitations/{{id}}/")


def _addresses() -> Iterator[Request]:
    """Nothing that the document is about: only the shape of the error counts."""
    for method in ("POST", "PATCH", "DELETE", "PUT"):
        for path in ("deals", "deals/1", "nowhere/", "deals/x/", "deals/1_0/", "deals/%00/", "deals/\u0661/"):
            yield Request(method, API + quote(path, safe="/%"), b"{}")
    for path in ("/", "/metrics", "/health/live/", "/probe/"):
        yield Request("POST", path, b"{}")
    for path in ("//", "/%2e%2e/", "/%ff", "/?%ff", "/admin/", "/probe/", "/" + "a" * 3000):
        yield Request("GET", path)
    for method in ("TRACE", "OPTIONS", "HEAD", "FOO"):
        yield Request(method, f"{API}deals/")
