"""Fields that take what they say, and nothing that Python would take for it."""

import re
from decimal import Decimal
from typing import Any, TypeVar

from django.db import models
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

RelatedT = TypeVar("RelatedT", bound=models.Model)


class KeyField(serializers.IntegerField):
    """A whole number in ASCII digits; to Python "1_000" and Arabic digits are numbers as well, and 1.7 is 1."""

    def to_internal_value(self, data: Any) -> int:
        if not (type(data) is int or (isinstance(data, str) and data.isascii() and data.isdecimal())):
            self.fail("invalid")
        return super().to_internal_value(data)


@extend_schema_field({"type": "integer", "minimum": 1})
class RelatedField(serializers.PrimaryKeyRelatedField[RelatedT]):
    """A reference by key."""

    def __init__(self, *, queryset: models.QuerySet[RelatedT] | None = None, **kwargs: Any) -> None:
        super().__init__(queryset=queryset, pk_field=KeyField(), **kwargs)


@extend_schema_field({"type": "string", "format": "decimal", "pattern": r"^\d{1,12}(\.\d{1,2})?$"})
class AmountField(serializers.DecimalField):
    """A decimal number, and never "-0.00"."""

    def to_internal_value(self, data: Any) -> Decimal:
        if not re.fullmatch(r"[-+.0-9eE]+", str(data), re.ASCII):
            self.fail("invalid")
        return super().to_internal_value(data) + 0
