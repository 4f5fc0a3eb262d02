from drf_spectacular.utils import extend_schema
from rest_framework import serializers, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from crm.deals import selectors, services
from crm.deals.api.serializers import (
    DealChangeSerializer,
    DealSerializer,
    MoveSerializer,
    PipelineSerializer,
    StageChangeSerializer,
)
from crm.deals.models import Deal, Pipeline
from crm.records.api import KEY, RecordViewSet


class PipelineViewSet(viewsets.ReadOnlyModelViewSet[Pipeline]):
    queryset = selectors.pipelines()
    serializer_class = PipelineSerializer
    lookup_value_regex = KEY


class DealViewSet(RecordViewSet[Deal]):
    queryset = selectors.deals()

    def get_serializer_class(self) -> type[DealSerializer]:
        return DealChangeSerializer if self.action == "partial_update" else DealSerializer

    def perform_create(self, serializer: serializers.BaseSerializer[Deal]) -> None:
        serializer.instance = services.create_deal(by=self.user, **serializer.validated_data)

    @extend_schema(request=MoveSerializer, responses=DealSerializer)
    @action(detail=True, methods=["post"])
    def move(self, request: Request, pk: str) -> Response:
        deal = self.get_object()
        serializer = MoveSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        deal = services.move_deal(deal=deal, to=serializer.validated_data["stage"], by=self.user)
        return Response(DealSerializer(deal).data)

    @extend_schema(responses=StageChangeSerializer(many=True))
    @action(detail=True, pagination_class=None)
    def history(self, request: Request, pk: str) -> Response:
        changes = selectors.history_of(self.get_object())
        return Response(StageChangeSerializer(changes, many=True).data)
