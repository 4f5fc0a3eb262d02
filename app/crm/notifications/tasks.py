"""Tasks carry ids, can be repeated, and leave the work to services."""

from celery import shared_task

from crm.notifications import services


@shared_task
def send_email(email_id: int) -> None:
    services.deliver(email_id)


@shared_task
def send_overdue_emails() -> None:
    """Queued every minute by beat."""
    for email_id in services.claim_overdue():
        send_email.delay(email_id)
