"""The base of serializers that change rows."""

from typing import Any, TypeVar

from django.db import models, transaction
from django.shortcuts import get_object_or_404
from rest_framework import serializers

RowT = TypeVar("RowT", bound=models.Model)


class ChangeSerializer(serializers.ModelSerializer[RowT]):
    """Saves what was sent and nothing else, so that it does not undo what somebody else changed meanwhile."""

    def update(self, instance: RowT, validated_data: dict[str, Any]) -> RowT:
        for name, value in validated_data.items():
            setattr(instance, name, value)
        rows = type(instance)._default_manager.select_for_update()  # noqa: SLF001
        times = [f.name for f in instance._meta.concrete_fields if getattr(f, "auto_now", False)]  # noqa: SLF001
        with transaction.atomic():
            get_object_or_404(rows, pk=instance.pk)
            instance.save(update_fields=(*validated_data, *times))
        return instance
