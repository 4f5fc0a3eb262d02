from typing import Any

from rest_framework import serializers

from crm.api.fields import RelatedField
from crm.api.serializers import BodySerializer
from crm.companies.models import Company
from crm.contacts.models import Contact
from crm.deals.currencies import CURRENCIES
from crm.deals.models import Deal, Pipeline, Stage, StageChange
from crm.records.api import RecordSerializer, TeamRelatedField


class StageSerializer(serializers.ModelSerializer[Stage]):
    class Meta:
        model = Stage
        fields = ("id", "name", "position", "is_won", "is_lost")


class PipelineSerializer(serializers.ModelSerializer[Pipeline]):
    stages = StageSerializer(many=True, read_only=True)

    class Meta:
        model = Pipeline
        fields = ("id", "name", "stages")


class DealSerializer(RecordSerializer[Deal]):
    status = serializers.CharField(source="stage.status", read_only=True)
    stage_name = serializers.CharField(source="stage.name", read_only=True)
    contact = TeamRelatedField(queryset=Contact.objects.all(), required=False, allow_null=True)
    company = TeamRelatedField(queryset=Company.objects.all(), required=False, allow_null=True)

    class Meta:
        model = Deal
        fields = (
            "id",
            "title",
            "pipeline",
            "stage",
            "stage_name",
            "status",
            "amount",
            "currency",
            "contact",
            "company",
            "owner",
            "created_at",
            "updated_at",
        )
        read_only_fields = ("owner",)
        extra_kwargs = {"stage": {"required": False}}

    def validate_currency(self, currency: str) -> str:
        if currency not in CURRENCIES:
            raise serializers.ValidationError(f"'{currency}' is no currency of ISO 4217.", code="invalid")
        return currency


class DealChangeSerializer(DealSerializer):
    """A deal stays in its pipeline, and its stage changes by a move, which is recorded.

    Whoever sends back what they have read may name both; they are not saved, since somebody may be moving the deal.
    """

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        for name, advice in (
            ("pipeline", "A deal stays in its pipeline."),
            ("stage", "Move the deal: POST …/move/."),
        ):
            if name in attrs and attrs.pop(name) != getattr(self.instance, name):
                raise serializers.ValidationError({name: advice})
        return attrs


class MoveSerializer(BodySerializer):
    stage = RelatedField(queryset=Stage.objects.all())


class StageChangeSerializer(serializers.ModelSerializer[StageChange]):
    from_stage = StageSerializer(read_only=True, allow_null=True)
    to_stage = StageSerializer(read_only=True)
    by = serializers.CharField(source="by.username", read_only=True)

    class Meta:
        model = StageChange
        fields = ("id", "from_stage", "to_stage", "by", "at")
