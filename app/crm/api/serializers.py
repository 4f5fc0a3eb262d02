"""The bases of serializers that read bodies, and of those that change rows."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from django.db import models, transaction
from django.shortcuts import get_object_or_404
from rest_framework import serializers

from crm.api.characters import validate_seen

RowT = TypeVar("RowT", bound=models.Model)


class BodySerializer(serializers.Serializer[Any]):
    """Refuses what it would pass over: whoever sends it believes that it was saved.

    A body names fields that there are and that can be set. Whoever sends back what they have read may name the others
    as well. Its texts are seen as they are stored; passwords, which nobody is shown, may be anything.
    """

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        for field in fields.values():
            if isinstance(field, serializers.CharField) and not field.write_only:
                field.validators.append(validate_seen)
        return fields

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping) and (refused := dict(self._refused(data))):
            raise serializers.ValidationError(refused)
        return super().to_internal_value(data)

    def _refused(self, data: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
        shown = None
        for name, value in data.items():
            field = self.fields.get(name)
            if field is None:
                yield name, ["There is no such field."]
            elif field.read_only and self.instance is None:
                yield name, ["This cannot be set."]
            elif field.read_only and name not in self._times():
                shown = shown or self.to_representation(self.instance)
                if value != shown[name]:
                    yield name, ["This cannot be changed."]

    def _times(self) -> list[str]:
        """Of the last change: what somebody has read of them is behind as soon as anybody changes anything."""
        if not isinstance(self.instance, models.Model):
            return []
        return [f.name for f in self.instance._meta.concrete_fields if getattr(f, "auto_now", False)]  # noqa: SLF001


class ChangeSerializer(BodySerializer, serializers.ModelSerializer[RowT]):
    """Saves what was sent and nothing else, so that it does not undo what somebody else changed meanwhile."""

    def update(self, instance: RowT, validated_data: dict[str, Any]) -> RowT:
        for name, value in validated_data.items():
            setattr(instance, name, value)
        rows = type(instance)._default_manager.select_for_update()  # noqa: SLF001
        with transaction.atomic():
            get_object_or_404(rows, pk=instance.pk)
            instance.save(update_fields=(*validated_data, *self._times()))
        return instance
