"""What is answered: whether it keeps to the document, and shows nobody what is another team's."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import httpx
import jsonschema
import schemathesis
import yaml
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.specs.openapi import checks

from pipeline.fuzz.corpus import API, Request
from pipeline.fuzz.people import Caller
from pipeline.openapi import FILE as DOCUMENT

CHECKS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
SHOWN = 300
"""Bytes of a body that are repeated where something is wrong."""


@dataclass
class Answers:
    """How many there were, and what is wrong with them."""

    requests: int = 0
    server_errors: int = 0
    violations: list[str] = field(default_factory=list)
    operations: int = 0

    def add(self, other: Answers) -> None:
        self.operations = max(self.operations, other.operations)
        self.requests += other.requests
        self.server_errors += other.server_errors
        self.violations += other.violations

    def __str__(self) -> str:
        return (
            f"operations {self.operations}, requests {self.requests}, 5xx {self.server_errors},"
            f" violations {len(self.violations)}"
        )


class Asker:
    """Sends requests of our own, and holds the answers against the document."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._client = httpx.Client(base_url=address, timeout=30, follow_redirects=False)
        self._schema = schemathesis.openapi.from_path(str(DOCUMENT))
        said = yaml.safe_load(DOCUMENT.read_text(encoding="utf-8"))
        self._error = jsonschema.Draft202012Validator(said["components"]["schemas"]["Error"])
        self._operations = {(path, method) for path, methods in said["paths"].items() for method in methods}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def ask(self, caller: Caller, request: Request, expected: int | None = None) -> Answers:
        """What the caller is answered to one request, which may be one that has but one right answer."""
        try:
            response = self._send(caller, request)
        except httpx.TransportError as error:
            return Answers(requests=1, violations=[f"{self._curl(caller, request)}\nno answer: {error}"])
        complaints = list(self._complaints(caller, request, response))
        if expected not in (None, response.status_code):
            complaints.append(f"{expected} is expected")
        told = f"{self._curl(caller, request)}\n{response.status_code} {response.text[:SHOWN]}\n{'; '.join(complaints)}"
        return Answers(1, int(response.is_server_error), [told] if complaints else [])

    def try_what_another_team_has(self, caller: Caller, theirs: Mapping[str, Iterable[int]]) -> Answers:
        """The answers to whatever can be asked of one record, which must be that there is none."""
        found = Answers()
        for path, method in sorted(self._operations):
            kind = path.removeprefix(API).partition("/{id}")[0]
            for key in theirs.get(kind, ()) if "{id}" in path else ():
                body = b"" if method in ("get", "delete") else b'{"stage": 1}'
                request = Request(method.upper(), path.format(id=key), body, operation=path)
                found.add(self.ask(caller, request, expected=404 if caller.headers else 401))
        return found

    def _send(self, caller: Caller, request: Request) -> httpx.Response:
        headers = {"Content-Type": "application/json"} | caller.headers | request.headers
        content = request.body if isinstance(request.body, bytes) else iter(request.body)
        sent = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        response = self._client.request(request.method, request.path, headers=sent, content=content)
        # A body in chunks is not there any more.
        response.request = httpx.Request(request.method, response.url)
        return response

    def _complaints(self, caller: Caller, request: Request, response: httpx.Response) -> Iterator[str]:
        if response.is_server_error:
            yield "an error of ours"
        method = request.method.lower()
        if (request.documented, method) in self._operations:
            try:
                case = self._schema[request.documented][method].Case(path_parameters={"id": 1})
                case.validate_response(response, checks=CHECKS)
            except (Failure, FailureGroup) as failure:
                yield str(failure)
        elif response.is_error and request.method != "HEAD":
            if response.headers.get("Content-Type") != "application/json":
                yield f"an error as {response.headers.get('Content-Type')}"
            else:
                yield from (error.message for error in self._error.iter_errors(response.json()))
        if strangers := strangers_in(caller, response.status_code, response.text):
            yield f"it shows {strangers}"

    def _curl(self, caller: Caller, request: Request) -> str:
        """What sends the request again, with a token of the caller's."""
        words = ["curl", "-X", request.method]
        for name, value in request.headers.items():
            words += ["-H", f"{name}: {value}"]
        body = request.body if isinstance(request.body, bytes) else b"".join(request.body)
        if body:
            words += ["--data-binary", body[:SHOWN].decode(errors="replace")]
        long = f" (of {len(body)} bytes)" if len(body) > SHOWN else ""
        return f"As {caller.name}: {shlex.join([*words, self._address + request.path])}{long}"


def strangers_in(caller: Caller, status: int, body: str) -> set[int]:
    """The keys of users who are not of the caller's team, and to whom belongs what the answer shows."""
    if not 200 <= status < 300 or not caller.headers:  # noqa: PLR2004
        return set()
    try:
        shown = json.loads(body)
    except ValueError:
        return set()
    return {user for user in _owners(shown) if user not in caller.teammates}


def _owners(shown: Any) -> Iterator[int]:
    if isinstance(shown, dict):
        yield from (shown[name] for name in ("owner", "by") if isinstance(shown.get(name), int))
        shown = list(shown.values())
    if isinstance(shown, list):
        for each in shown:
            yield from _owners(each)
