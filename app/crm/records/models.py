"""The base of records."""

from typing import TYPE_CHECKING, Self, TypeVar

from django.conf import settings
from django.db import models

if TYPE_CHECKING:
    from crm.authentication.models import User


RecordT = TypeVar("RecordT", bound="Record")


class RecordQuerySet(models.QuerySet[RecordT]):
    def visible_to(self, user: "User") -> Self:
        """The records of the user's team; to everybody else they do not exist."""
        return self.filter(team_id=user.team_id)


class Record(models.Model):
    team = models.ForeignKey(
        "authentication.Team", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        abstract = True
        ordering = ("-id",)
        # A team's list, newest first; it also serves the foreign key to the team.
        indexes = (models.Index(fields=("team", "-id"), name="%(class)s_of_team"),)

    def may_be_changed_by(self, user: "User") -> bool:
        return self.owner_id == user.pk or (user.is_staff and self.team_id == user.team_id)
