from crm.companies.models import Company
from crm.records.api import RecordSerializer


class CompanySerializer(RecordSerializer[Company]):
    class Meta:
        model = Company
        fields = ("id", "name", "website", "phone", "owner", "created_at", "updated_at")
        read_only_fields = ("owner",)
