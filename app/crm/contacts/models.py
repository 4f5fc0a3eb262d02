"""People that the team talks to."""

from typing import ClassVar

from django.db import models
from django.db.models.functions import Lower

from crm.companies.models import Company
from crm.records.models import Record, RecordQuerySet


class Contact(Record):
    first_name = models.CharField(max_length=100, blank=True)
    last_name = models.CharField(max_length=100)
    email = models.EmailField(blank=True)
    phone = models.CharField(max_length=40, blank=True)
    company = models.ForeignKey(
        Company, on_delete=models.PROTECT, null=True, blank=True, related_name="contacts"
    )

    objects: ClassVar[models.Manager["Contact"]] = RecordQuerySet["Contact"].as_manager()

    class Meta(Record.Meta):
        constraints = (
            models.UniqueConstraint(
                "team",
                Lower("email"),
                condition=~models.Q(email=""),
                name="contact_email_unique_in_team",
                violation_error_message="The team has a contact with this e-mail address already.",
            ),
        )

    def __str__(self) -> str:
        return f"{self.first_name} {self.last_name}".strip()
