from crm.contacts.api.serializers import ContactSerializer
from crm.contacts.models import Contact
from crm.records.api import RecordViewSet


class ContactViewSet(RecordViewSet[Contact]):
    queryset = Contact.objects.all()
    serializer_class = ContactSerializer
