"""What is read about deals, in as few queries as it takes."""

from django.db.models import QuerySet

from crm.deals.models import Deal, Pipeline, StageChange


def deals() -> QuerySet[Deal]:
    return Deal.objects.select_related("stage")


def pipelines() -> QuerySet[Pipeline]:
    return Pipeline.objects.prefetch_related("stages")


def history_of(deal: Deal) -> QuerySet[StageChange]:
    """Every stage that the deal entered, oldest first."""
    return deal.stage_changes.select_related("from_stage", "to_stage", "by")
