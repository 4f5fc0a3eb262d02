from rest_framework import serializers

from crm.companies.models import Company
from crm.contacts.models import Contact
from crm.notifications.addresses import validate_deliverable
from crm.records.api import RecordSerializer, TeamRelatedField


class ContactSerializer(RecordSerializer[Contact]):
    company = TeamRelatedField(queryset=Company.objects.all(), required=False, allow_null=True)

    class Meta:
        model = Contact
        fields = (
            "id",
            "first_name",
            "last_name",
            "email",
            "phone",
            "company",
            "owner",
            "created_at",
            "updated_at",
        )
        read_only_fields = ("owner",)

    def validate_email(self, email: str) -> str:
        if email:
            validate_deliverable(email)
        same = Contact.objects.filter(team_id=self.context["request"].user.team_id, email__iexact=email)
        if self.instance:
            same = same.exclude(pk=self.instance.pk)
        if email and same.exists():
            raise serializers.ValidationError(
                "The team has a contact with this e-mail address already.", code="unique"
            )
        return email
