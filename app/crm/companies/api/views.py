from crm.companies.api.serializers import CompanySerializer
from crm.companies.models import Company
from crm.records.api import RecordViewSet


class CompanyViewSet(RecordViewSet[Company]):
    queryset = Company.objects.all()
    serializer_class = CompanySerializer
