"""Deals, and the pipelines through whose stages they move."""

from typing import ClassVar

from django.conf import settings
from django.core.validators import MinValueValidator, RegexValidator
from django.db import models

from crm.companies.models import Company
from crm.contacts.models import Contact
from crm.records.models import Record, RecordQuerySet


class Pipeline(models.Model):
    """Shared by all teams."""

    name = models.CharField(max_length=100, unique=True)

    class Meta:
        ordering = ("id",)

    def __str__(self) -> str:
        return self.name


class Stage(models.Model):
    pipeline = models.ForeignKey(Pipeline, on_delete=models.CASCADE, related_name="stages", db_index=False)
    name = models.CharField(max_length=100)
    position = models.PositiveSmallIntegerField()
    is_won = models.BooleanField(default=False, db_default=False)
    is_lost = models.BooleanField(default=False, db_default=False)

    class Meta:
        ordering = ("pipeline", "position")
        constraints = (
            models.UniqueConstraint(fields=("pipeline", "position"), name="stage_position_unique"),
            models.UniqueConstraint(fields=("pipeline", "name"), name="stage_name_unique"),
            models.CheckConstraint(
                condition=~models.Q(is_won=True, is_lost=True), name="stage_not_won_and_lost"
            ),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def status(self) -> str:
        """What a deal in this stage is: open, won or lost."""
        if self.is_won:
            return "won"
        return "lost" if self.is_lost else "open"


class Deal(Record):
    title = models.CharField(max_length=200)
    pipeline = models.ForeignKey(Pipeline, on_delete=models.PROTECT, related_name="deals")
    stage = models.ForeignKey(Stage, on_delete=models.PROTECT, related_name="deals")
    amount = models.DecimalField(max_digits=14, decimal_places=2, validators=(MinValueValidator(0),))
    currency = models.CharField(
        max_length=3,
        default="EUR",
        db_default="EUR",
        validators=(RegexValidator(r"^[A-Z]{3}\Z", "A currency has three capital letters, like EUR."),),
    )
    contact = models.ForeignKey(
        Contact, on_delete=models.PROTECT, null=True, blank=True, related_name="deals"
    )
    company = models.ForeignKey(
        Company, on_delete=models.PROTECT, null=True, blank=True, related_name="deals"
    )

    objects: ClassVar[models.Manager["Deal"]] = RecordQuerySet["Deal"].as_manager()

    class Meta(Record.Meta):
        constraints = (
            models.CheckConstraint(condition=models.Q(amount__gte=0), name="deal_amount_not_negative"),
        )

    def __str__(self) -> str:
        return self.title

    def enter(self, stage: Stage) -> None:
        """Save the new stage, and nothing else, which somebody may be changing."""
        self.stage = stage
        self.save(update_fields=("stage", "updated_at"))


class StageChange(models.Model):
    """A deal entered a stage: one row at its creation and one for each move."""

    deal = models.ForeignKey(Deal, on_delete=models.CASCADE, related_name="stage_changes")
    from_stage = models.ForeignKey(Stage, on_delete=models.PROTECT, null=True, related_name="+")
    to_stage = models.ForeignKey(Stage, on_delete=models.PROTECT, related_name="+")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("id",)

    def __str__(self) -> str:
        return f"{self.from_stage} → {self.to_stage}"
