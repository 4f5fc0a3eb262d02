"""Pages of lists."""

import re
from functools import cached_property
from typing import Any

from django.core.paginator import Paginator
from django.db.models import Model
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.pagination import Cursor, CursorPagination, PageNumberPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param

PAGE_SIZE, LARGEST_PAGE = 25, 100
MOST_COUNTED = 10_000
"""Rows. To count a million takes seven times as long as all the rest of an answer."""


def page_size_of(request: Request) -> int:
    """The rows that ?page_size= asks for, and a page holds. Raises ValidationError."""
    size = request.query_params.get("page_size", str(PAGE_SIZE))
    if not (size.isascii() and size.isdecimal() and int(size[:9])):
        raise ValidationError({"page_size": ["A whole number from 1 on is expected."]})
    return min(int(size[:9]), LARGEST_PAGE)


class Counted(Paginator):  # type: ignore[type-arg]
    """Counts up to MOST_COUNTED rows, so that a list costs the same however long it is."""

    object_list: Any

    @cached_property
    def _count(self) -> int:
        # In the order of the list: there is an index for that, which leads to no other team's rows.
        return int(self.object_list[: MOST_COUNTED + 1].count())

    @property
    def count(self) -> int:
        return min(self._count, MOST_COUNTED)

    @property
    def count_is_capped(self) -> bool:
        """Whether there are more rows than `count`."""
        return self._count > MOST_COUNTED


class Cursors(CursorPagination):
    """Pages that begin where another one ended, at the same cost however far down the list that is."""

    def get_page_size(self, request: Request) -> int:
        return page_size_of(request)

    def get_ordering(self, request: Request, queryset: Any, view: Any) -> tuple[str, ...]:
        return tuple(queryset.model._meta.ordering)  # noqa: SLF001

    def decode_cursor(self, request: Request) -> Cursor | None:
        """Raises ValidationError for what is none of ours; to REST framework every text is a position."""
        try:
            cursor = super().decode_cursor(request)
        except NotFound:
            is_ours = False
        else:
            position = cursor and cursor.position
            is_ours = position is None or bool(re.fullmatch("[0-9]{1,18}", str(position)))
        if not is_ours:
            raise ValidationError({"cursor": ["This is no cursor; take the one that is in `next`."]})
        return cursor

    def link_behind(self, row: Model, page: str) -> str:
        """The address of the page that begins behind that row, the last one of the page at that address."""
        self.base_url = remove_query_param(page, "page")
        return self.encode_cursor(Cursor(offset=0, reverse=False, position=row.pk))


class Pages(PageNumberPagination):
    """{count, count_is_capped, next, previous, results}; ?page_size= up to 100. Other parameters are refused.

    Pages have numbers up to row 10,000, where the counting ends. There `next` goes on by a cursor; whoever wants all
    rows may as well begin with `?cursor=`.
    """

    django_paginator_class = Counted
    page_size_query_param = "page_size"
    page: Any
    counted: Counted

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any] | None:
        # Who asks for some rows, by a parameter that does not exist, must not be given all of them.
        strange = set(request.query_params) - {"page", "page_size", "cursor"}
        if strange:
            raise ValidationError({name: ["There is no such parameter."] for name in sorted(strange)})
        self.cursors = Cursors()
        self.is_by_cursor = "cursor" in request.query_params
        if not self.is_by_cursor:
            return self._numbered_page(queryset, request, view)
        if "page" in request.query_params:
            raise ValidationError({"page": ["A list is asked for by page or by cursor."]})
        rows: list[Any] | None = self.cursors.paginate_queryset(queryset, request, view)
        self.counted = Counted(queryset, PAGE_SIZE)
        return rows

    def get_page_size(self, request: Request) -> int:
        return page_size_of(request)

    def get_page_number(self, request: Request, paginator: Any) -> int | str:
        self.counted = paginator
        if paginator.count_is_capped:
            self.last_page_strings = ()  # the last one that is counted is not the last one
        return super().get_page_number(request, paginator)

    def _numbered_page(self, queryset: Any, request: Request, view: Any) -> list[Any] | None:
        try:
            return super().paginate_queryset(queryset, request, view)
        except NotFound as error:
            if not self.counted.count_is_capped:
                raise
            told = f"Pages have numbers up to row {MOST_COUNTED:,} only"
            raise ValidationError(
                {"page": [f"{told}; follow `next` from there, or begin with ?cursor=."]}
            ) from error

    def get_next_link(self) -> str | None:
        if self.is_by_cursor:
            return self.cursors.get_next_link()
        if self.counted.count_is_capped and not self.page.has_next():
            return self.cursors.link_behind(self.page[-1], self.request.build_absolute_uri())  # type: ignore[union-attr]
        return super().get_next_link()

    def get_previous_link(self) -> str | None:
        return self.cursors.get_previous_link() if self.is_by_cursor else super().get_previous_link()

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        asked = {
            "page": ("A page by its number, up to row 10,000.", {"type": "integer", "minimum": 1}),
            "page_size": (
                f"Rows a page, at most {LARGEST_PAGE}.",
                {"type": "integer", "minimum": 1, "default": PAGE_SIZE},
            ),
            "cursor": ("A page as `next` and `previous` name it; empty for the first.", {"type": "string"}),
        }
        return [
            {"name": name, "in": "query", "required": False, "description": description, "schema": schema}
            for name, (description, schema) in asked.items()
        ]

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        address = {"type": ["string", "null"], "format": "uri"}
        properties = {
            "count": {"type": "integer", "minimum": 0, "maximum": MOST_COUNTED},
            "count_is_capped": {
                "type": "boolean",
                "description": "Whether there are more rows than `count`.",
            },
            "next": address,
            "previous": address,
            "results": schema,
        }
        return {"type": "object", "required": list(properties), "properties": properties}

    def get_paginated_response(self, data: Any) -> Response:
        return Response(
            {
                "count": self.counted.count,
                "count_is_capped": self.counted.count_is_capped,
                "next": self.get_next_link(),
                "previous": self.get_previous_link(),
                "results": data,
            }
        )
