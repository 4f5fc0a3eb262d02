"""What changes deals."""

from typing import Any

from django.db import transaction

from crm.api.errors import Refused
from crm.authentication.models import User
from crm.deals.models import Deal, Pipeline, Stage, StageChange
from crm.metrics.business import DEAL_CONVERSIONS, DEALS_CREATED
from crm.notifications.services import announce_won_deal


class StageNotInPipeline(Refused):
    code = "stage_not_in_pipeline"
    status = 400

    def __init__(self, stage: Stage, pipeline: Pipeline) -> None:
        sentence = f"Stage '{stage}' does not belong to pipeline '{pipeline}'."
        super().__init__(sentence, fields={"stage": [sentence]})


class DealGone(Refused):
    code = "not_found"
    status = 404


class PipelineHasNoStages(Refused):
    code = "pipeline_has_no_stages"


def create_deal(*, by: User, pipeline: Pipeline, stage: Stage | None = None, **details: Any) -> Deal:
    """Create a deal in a stage, else in the first one of its pipeline, and record that.

    Raises StageNotInPipeline, or PipelineHasNoStages if there is no first one.
    """
    stage = stage or pipeline.stages.first()
    if stage is None:
        raise PipelineHasNoStages(f"Pipeline '{pipeline}' has no stages; add one first.")
    if stage.pipeline_id != pipeline.pk:
        raise StageNotInPipeline(stage, pipeline)
    with transaction.atomic():
        deal = Deal.objects.create(team_id=by.team_id, owner=by, pipeline=pipeline, stage=stage, **details)
        _record_change(deal, None, stage, by)
        transaction.on_commit(DEALS_CREATED.inc, robust=True)
    return deal


def move_deal(*, deal: Deal, to: Stage, by: User) -> Deal:
    """Move a deal to another stage of its own pipeline and record who did it.

    A deal that is there already stays as it is. Raises StageNotInPipeline or DealGone.
    """
    if to.pipeline_id != deal.pipeline_id:
        raise StageNotInPipeline(to, deal.pipeline)
    with transaction.atomic():
        # Without a join to the stage: PostgreSQL would find no row when the stage changed while it waited.
        locked = Deal.objects.select_for_update(no_key=True).filter(pk=deal.pk).first()
        if locked is None:
            raise DealGone("The deal was deleted just now.")
        deal = locked
        if deal.stage_id != to.pk:
            left = deal.stage
            deal.enter(to)
            _record_change(deal, left, to, by)
    return deal


def _record_change(deal: Deal, left: Stage | None, entered: Stage, by: User) -> None:
    is_won_again = entered.is_won and deal.stage_changes.filter(to_stage__is_won=True).exists()
    StageChange.objects.create(deal=deal, from_stage=left, to_stage=entered, by=by)
    if entered.is_won and not is_won_again and announce_won_deal(deal=deal, by=by):
        transaction.on_commit(DEAL_CONVERSIONS.labels(pipeline=deal.pipeline.name).inc, robust=True)
