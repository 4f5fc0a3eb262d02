"""Companies that the team sells to."""

from typing import ClassVar

from django.db import models

from crm.records.models import Record, RecordQuerySet


class Company(Record):
    name = models.CharField(max_length=200)
    website = models.URLField(blank=True)
    phone = models.CharField(max_length=40, blank=True)

    objects: ClassVar[models.Manager["Company"]] = RecordQuerySet["Company"].as_manager()

    class Meta(Record.Meta):
        verbose_name_plural = "companies"

    def __str__(self) -> str:
        return self.name
