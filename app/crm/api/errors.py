"""One shape for every error.

    {"error": {"code": "not_found", "message": "…", "fields": {"amount": ["…"]}, "request_id": "…"}}

`fields` is there only when single fields were refused.
"""

from typing import Any

from django.db import IntegrityError, InterfaceError, OperationalError
from django.http import HttpRequest, JsonResponse, UnreadablePostError
from psycopg.errors import ForeignKeyViolation, UniqueViolation
from rest_framework import exceptions, status
from rest_framework.response import Response
from rest_framework.views import exception_handler

from crm.http.log_lines import request_id


class Refused(Exception):
    """A service refuses to do what was asked; subclasses say why."""

    code = "refused"
    status: int = status.HTTP_409_CONFLICT

    def __init__(self, message: str, fields: dict[str, list[str]] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.fields = fields


def envelope(code: str, message: str, fields: Any = None) -> dict[str, dict[str, Any]]:
    error: dict[str, Any] = {"code": code, "message": message, "request_id": request_id.get()}
    if fields:
        error["fields"] = fields
    return {"error": error}


def handle(exc: Exception, context: dict[str, Any]) -> Response | None:
    """What an exception in an endpoint becomes; None lets Django answer 500 and log it."""
    if isinstance(exc, Refused):
        return Response(envelope(exc.code, exc.message, exc.fields), status=exc.status)
    if isinstance(exc, OperationalError | InterfaceError):
        body = envelope("unavailable", "The database does not answer; try again soon.")
        return Response(body, status=503, headers={"Retry-After": "5"})
    if isinstance(exc, IntegrityError) and isinstance(exc.__cause__, UniqueViolation | ForeignKeyViolation):
        body = envelope("conflict", "Somebody else changed this at the same moment; look again.")
        return Response(body, status=409)
    if isinstance(exc, UnreadablePostError):  # the client has left while it sent
        exc = exceptions.ParseError("The request could not be read.")
    response = exception_handler(exc, context)
    if response is None:
        return None
    if isinstance(exc, exceptions.ValidationError):
        fields = exc.detail if isinstance(exc.detail, dict) else {"non_field_errors": exc.detail}
        response.data = envelope("invalid", "The data was refused; see fields.", fields)
        return response
    detail = response.data.get("detail", "")
    code = response.data.get("code") or getattr(detail, "code", "error")
    response.data = envelope(str(code), str(detail))
    return response


def bad_request(request: HttpRequest, exception: Exception | None = None) -> JsonResponse:
    return JsonResponse(envelope("bad_request", "The request could not be read."), status=400)


def forbidden(request: HttpRequest, exception: Exception | None = None, reason: str = "") -> JsonResponse:
    return JsonResponse(envelope("forbidden", "This is not allowed."), status=403)


def not_found(request: HttpRequest, exception: Exception) -> JsonResponse:
    return JsonResponse(envelope("not_found", "There is nothing at this address."), status=404)


def server_error(request: HttpRequest) -> JsonResponse:
    return JsonResponse(envelope("server_error", "Something went wrong on our side."), status=500)
