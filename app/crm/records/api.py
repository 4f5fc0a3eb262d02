"""The base of endpoints for records."""

from typing import Any, TypeVar, cast

from django.db import models
from django.db.models.deletion import ProtectedError
from rest_framework import serializers, viewsets
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import SAFE_METHODS, BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.views import APIView

from crm.api.errors import Refused
from crm.api.fields import AmountField, RelatedField
from crm.api.serializers import ChangeSerializer
from crm.authentication.models import User
from crm.records.models import Record, RecordQuerySet

KEY = "[0-9]+"  # in an address; to Python "1_000" is a number as well

RecordT = TypeVar("RecordT", bound=Record)
RelatedT = TypeVar("RelatedT", bound=models.Model)


class MayChange(BasePermission):
    """A team reads all its records; owner and the team's staff change them."""

    message = "Only the owner of a record may change it."

    def has_object_permission(self, request: Request, view: APIView, obj: Record) -> bool:
        return request.method in SAFE_METHODS or obj.may_be_changed_by(cast("User", request.user))


class InUse(Refused):
    code = "in_use"


class TeamRelatedField(RelatedField[RelatedT]):
    """A reference to a record of the user's own team; others look like missing ones."""

    def get_queryset(self) -> Any:
        queryset = cast("RecordQuerySet[Any]", super().get_queryset())
        return queryset.visible_to(self.context["request"].user)


class RecordSerializer(ChangeSerializer[RecordT]):
    serializer_related_field = RelatedField
    serializer_field_mapping = {
        **serializers.ModelSerializer.serializer_field_mapping,
        models.DecimalField: AmountField,
    }


class RecordViewSet(viewsets.ModelViewSet[RecordT]):
    """List, create, retrieve, change and delete records of the user's team."""

    permission_classes = (IsAuthenticated, MayChange)
    http_method_names = ("get", "post", "patch", "delete", "head", "options")
    lookup_value_regex = KEY

    @property
    def user(self) -> User:
        if not isinstance(self.request.user, User):
            raise PermissionDenied
        return self.request.user

    def get_queryset(self) -> RecordQuerySet[RecordT]:
        return cast("RecordQuerySet[RecordT]", super().get_queryset()).visible_to(self.user)

    def perform_create(self, serializer: serializers.BaseSerializer[RecordT]) -> None:
        serializer.save(team_id=self.user.team_id, owner=self.user)

    def perform_destroy(self, instance: RecordT) -> None:
        try:
            instance.delete()
        except ProtectedError as error:
            names = sorted({f"{type(user).__name__.lower()} {user.pk}" for user in error.protected_objects})
            raise InUse(f"It is still used by {', '.join(names)}; change those first.") from error
