"""What is read about e-mails."""

from django.utils import timezone

from crm.notifications.models import Email


def overdue_email_ids(*, limit: int = 500) -> list[int]:
    """Ready e-mails whose task was lost or failed, oldest first."""
    overdue = Email.objects.filter(status=Email.Status.READY, due_at__lte=timezone.now())
    return list(overdue.order_by("due_at").values_list("pk", flat=True)[:limit])
