"""Tasks carry ids, can be repeated, and leave the work to services."""

from celery import shared_task

from crm.notifications import services


# A mail server that takes 15 s for each of its answers is waited for.
@shared_task(soft_time_limit=120, time_limit=150)
def send_email(email_id: int) -> None:
    services.deliver(email_id)


@shared_task
def send_overdue_emails() -> None:
    """Queued every minute by beat."""
    services.queue_overdue()
