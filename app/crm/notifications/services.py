"""What queues and sends e-mails."""

import logging
from datetime import timedelta
from smtplib import SMTPException
from typing import TYPE_CHECKING

from celery import current_app
from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.utils import timezone

from crm.notifications.models import Email

if TYPE_CHECKING:
    from crm.deals.models import Deal, StageChange

logger = logging.getLogger(__name__)

# The queued task normally sends within a second; only after this time the beat takes the row for lost.
GRACE = timedelta(minutes=2)
SEND_EMAIL = "crm.notifications.tasks.send_email"  # by name, since the task calls back into this module
MAX_ATTEMPTS = 8  # with doubling delays from two minutes on: about eight hours


def announce_won_deal(*, deal: "Deal", change: "StageChange") -> None:
    """Queue an e-mail to the deal's owner, sent once the surrounding transaction is committed."""
    queue_email(
        key=f"deal-won-{change.pk}",
        to=deal.owner.email,
        subject=f"Won: {' '.join(deal.title.split())}",
        body=f"{change.by.username} won “{deal.title}” ({deal.amount} {deal.currency}).\n",
    )


def queue_email(*, key: str, to: str, subject: str, body: str) -> Email:
    email = Email.objects.create(key=key, to=to, subject=subject, body=body, due_at=timezone.now() + GRACE)
    # Robust: a broker that is away must not fail a request whose data is committed; the beat finds the row.
    transaction.on_commit(lambda: current_app.send_task(SEND_EMAIL, [email.pk]), robust=True)
    return email


def deliver(email_id: int) -> None:
    """Send a ready e-mail; do nothing if it is sent, given up, gone, or being sent by another worker.

    The row stays locked while it is sent. Should a worker die between sending and committing, the e-mail
    is sent once more, under the same Message-ID.
    """
    with transaction.atomic():
        ready = Email.objects.filter(pk=email_id, status=Email.Status.READY)
        email = ready.select_for_update(skip_locked=True).first()
        if email is None:
            return
        email.attempts += 1
        try:
            _message(email).send()
        except (OSError, SMTPException) as error:
            logger.warning("E-mail %s was not sent: %s", email.key, type(error).__name__)
            email.due_at = timezone.now() + GRACE * 2 ** (email.attempts - 1)
            if email.attempts >= MAX_ATTEMPTS:
                email.status = Email.Status.FAILED
        else:
            email.status = Email.Status.SENT
            email.sent_at = timezone.now()
        email.save()


def _message(email: Email) -> EmailMessage:
    domain = settings.DEFAULT_FROM_EMAIL.rpartition("@")[2]
    headers = {"Message-ID": f"<{email.key}@{domain}>"}
    return EmailMessage(email.subject, email.body, to=[email.to], headers=headers)
