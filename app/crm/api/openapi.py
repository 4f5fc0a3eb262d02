"""The API as an OpenAPI document: what the views say of themselves, and the errors that each of them may answer."""

from typing import Any

import yaml
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema

MADE_BY = "# Made by `make generated` from the views in app/.\n"

ERROR = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {
                "code": {"type": "string", "description": "For programs, e.g. not_found."},
                "message": {"type": "string", "description": "For people."},
                "fields": {
                    "type": "object",
                    "description": "Only when single fields were refused: why.",
                    "additionalProperties": {"type": "array", "items": {"type": "string"}},
                },
                "request_id": {
                    "type": "string",
                    "description": "As in the header X-Request-ID, and in the log.",
                },
            },
            "required": ["code", "message", "request_id"],
            "additionalProperties": False,
        }
    },
    "required": ["error"],
    "additionalProperties": False,
}


def _error(description: str, **headers: str) -> dict[str, Any]:
    said = {name: {"required": True, "schema": {"type": kind}} for name, kind in headers.items()}
    return {
        "description": description,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    } | ({"headers": {name.replace("_", "-"): header for name, header in said.items()}} if said else {})


ERRORS = {
    400: _error("The request was refused, or could not be read."),
    401: _error("Who asks is not signed in, or may not be.", WWW_Authenticate="string"),
    403: _error("Who asks may see this, and not change it."),
    404: _error("There is no such thing, or it is another team's."),
    406: _error("Answers are JSON."),
    409: _error("Somebody changed this at the same moment, or it is still used."),
    413: _error("The body is too large."),
    414: _error("The address is too long."),
    415: _error("The body is not JSON."),
    429: _error("Too many requests; ask again after so many seconds.", Retry_After="integer"),
    431: _error("The headers are too large."),
    503: _error("The database does not answer; try again after so many seconds.", Retry_After="integer"),
}


class Operation(AutoSchema):
    """Adds the errors, so that a view names what it answers when all is well."""

    def get_operation(self, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        operation: dict[str, Any] | None = super().get_operation(*args, **kwargs)
        if operation is not None:
            operation["responses"] |= {
                str(status): {"$ref": f"#/components/responses/{status}"} for status in sorted(self._errors())
            }
        return operation

    def _resolve_path_parameters(self, variables: list[str]) -> list[dict[str, Any]]:
        return [
            each | {"schema": {"type": "integer", "minimum": 1}}
            for each in super()._resolve_path_parameters(variables)  # type: ignore[no-untyped-call]
        ]

    def _errors(self) -> set[int]:
        writes, names_one = self.method in ("POST", "PUT", "PATCH", "DELETE"), "{" in self.path
        has_body = self.method in ("POST", "PUT", "PATCH")
        found = {
            401: any(self.get_auth()) or bool(self.view.get_authenticate_header(self.view.request)),
            403: writes and names_one,
            404: names_one or self._is_list_view(),
            409: writes,
            413: has_body,
            415: has_body,
            429: self.method == "POST" and bool(self.view.throttle_classes),  # as crm.api.limits counts
        }
        return {400, 406, 414, 431, 503} | {status for status, may_be in found.items() if may_be}


class Bearer(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "crm.authentication.api.tokens.Authentication"
    name = "token"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}


def with_errors(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """The document, a hook of drf-spectacular is given, with what its operations refer to."""
    components = result["components"]
    components["schemas"] = {"Error": ERROR} | components["schemas"]
    components["responses"] = {str(status): response for status, response in ERRORS.items()}
    return result


def document() -> str:
    """The document as YAML. Raises RuntimeError if a view says too little of itself; what, is on standard error."""
    GENERATOR_STATS.reset()
    made = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    if GENERATOR_STATS:
        raise RuntimeError("drf-spectacular has complaints (above); annotate those views with extend_schema.")
    return MADE_BY + yaml.safe_dump(made, sort_keys=False, allow_unicode=True, width=120)
