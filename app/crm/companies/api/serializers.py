from rest_framework import serializers

from crm.companies.models import Company


class CompanySerializer(serializers.ModelSerializer[Company]):
    class Meta:
        model = Company
        fields = ("id", "name", "website", "phone", "owner", "created_at", "updated_at")
        read_only_fields = ("owner",)
