"""Pages of lists."""

from typing import Any

from rest_framework.exceptions import ValidationError
from rest_framework.pagination import PageNumberPagination
from rest_framework.request import Request


class Pages(PageNumberPagination):
    """{count, next, previous, results}; ?page_size= up to 100. Other parameters are refused."""

    page_size = 25
    max_page_size = 100
    page_size_query_param = "page_size"

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any] | None:
        # Who asks for some rows, by a parameter that does not exist, must not be given all of them.
        strange = set(request.query_params) - {"page", "page_size"}
        if strange:
            raise ValidationError({name: ["There is no such parameter."] for name in sorted(strange)})
        return super().paginate_queryset(queryset, request, view)

    def get_page_size(self, request: Request) -> int | None:
        size = request.query_params.get("page_size", "1")
        if not (size.isascii() and size.isdecimal() and int(size[:9])):
            raise ValidationError({"page_size": ["A whole number from 1 on is expected."]})
        return super().get_page_size(request)
