"""What queues and sends e-mails."""

import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from celery import current_app
from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.utils import timezone

from crm.authentication.models import User
from crm.notifications.models import Email

if TYPE_CHECKING:
    from crm.deals.models import Deal

logger = logging.getLogger(__name__)

# The queued task normally sends within a second; only after this time the beat takes the row for lost.
GRACE = timedelta(minutes=2)
# So long a row that the beat has queued again may wait for a worker: a mail server that hangs leaves many waiting, and
# a queue that is old is an alert.
CLAIM = timedelta(minutes=10)
# A task is thrown away so long before another one may be queued for its row: a row is in the queue once.
MARGIN = timedelta(seconds=30)
# Longer than a task may take: only then somebody else sends what a worker has begun to send.
SENDING = timedelta(minutes=3)
SEND_EMAIL = "crm.notifications.tasks.send_email"  # by name, since the task calls back into this module
# So begin the keys of e-mails in which nothing stands that a user has written.
EMAIL_PROOF_KEY = "email-proof"
MAX_ATTEMPTS = 8  # with doubling delays from two minutes on: about eight hours


class AddressNotProven(Exception):
    """Nobody has proven that the address is theirs, and the e-mail has words of a user; it may be proven later."""


def announce_won_deal(*, deal: "Deal", by: User) -> bool:
    """Queue an e-mail to the deal's owner, sent once the surrounding transaction is committed.

    A deal is won once, however often it is moved to and fro: False if this one was announced before.
    """
    announced = queue_email(
        key=f"deal-{deal.pk}-won",  # not deal-won-…: so the version before names its moves
        to=deal.owner.email,
        subject=f"Won: {' '.join(deal.title.split())}",
        body=f"{by.username} won “{deal.title}” ({deal.amount} {deal.currency}).\n",
    )
    return announced is not None


def queue_email(*, key: str, to: str, subject: str, body: str) -> Email | None:
    """Queue an e-mail; None if there is one with this key."""
    email, is_new = Email.objects.get_or_create(
        key=key, defaults={"to": to, "subject": subject, "body": body, "due_at": timezone.now() + GRACE}
    )
    if not is_new:
        return None
    waits_until = email.due_at - MARGIN
    # Robust: a broker that is away must not fail a request whose data is committed; the beat finds the row.
    transaction.on_commit(lambda: _queue(email.pk, waits_until), robust=True)
    return email


def deliver(email_id: int) -> None:
    """Send a ready e-mail; do nothing if it is sent, given up, gone, or being sent by another worker.

    A mail server may take minutes, and no transaction is open meanwhile: the row is taken in one, and what became of
    it is written in another one. A worker that dies between them has perhaps sent the e-mail. The row is due again
    after SENDING, and then the e-mail is sent once more, under the same Message-ID.
    """
    email = _take(email_id)
    if email is None:
        return
    try:
        _check_address(email)
        _message(email).send()
    # Whatever it is: an e-mail that cannot even be written would stay due for ever and fail its task each time.
    except Exception as error:  # noqa: BLE001
        logger.warning("E-mail %s was not sent: %s", email.key, type(error).__name__)
        email.due_at = timezone.now() + GRACE * 2 ** (email.attempts - 1)
        if email.attempts >= MAX_ATTEMPTS:
            email.status = Email.Status.FAILED
    else:
        email.status = Email.Status.SENT
        email.sent_at = timezone.now()
    email.sending_until = None
    email.save(update_fields=("status", "due_at", "sending_until", "sent_at"))


def queue_overdue() -> None:
    """Queue the e-mails that claim_overdue finds, each once."""
    waits_until = timezone.now() + CLAIM - MARGIN
    for email_id in claim_overdue():
        _queue(email_id, waits_until)


def claim_overdue(*, limit: int = 500) -> list[int]:
    """Ready e-mails whose task was lost or failed, longest due first; each goes to the end of the line.

    So those that are never sent, whatever the reason, take turns with all others. What has ended its worker at each
    attempt is given up here.
    """
    now = timezone.now()
    with transaction.atomic():
        overdue = Email.objects.filter(status=Email.Status.READY, due_at__lte=now)
        overdue.filter(attempts__gte=MAX_ATTEMPTS).update(status=Email.Status.FAILED)
        waiting = overdue.order_by("due_at").select_for_update(skip_locked=True)
        ids = list(waiting.values_list("pk", flat=True)[:limit])
        Email.objects.filter(pk__in=ids).update(due_at=now + CLAIM)
    return ids


def _queue(email_id: int, waits_until: datetime) -> None:
    current_app.send_task(SEND_EMAIL, [email_id], expires=waits_until)


def _take(email_id: int) -> Email | None:
    """The e-mail, if nobody else sends it until SENDING is over."""
    now = timezone.now()
    with transaction.atomic():
        ready = Email.objects.filter(pk=email_id, status=Email.Status.READY).exclude(sending_until__gt=now)
        # The version before keeps a row locked while it sends it.
        email = ready.select_for_update(skip_locked=True).first()
        if email is not None:
            email.attempts += 1
            email.due_at = email.sending_until = now + SENDING
            email.save(update_fields=("attempts", "due_at", "sending_until"))
    return email


def _check_address(email: Email) -> None:
    """Asked where e-mails are sent, so that it holds for whatever another version or setting has queued as well."""
    if settings.EMAIL_PROOF == "optional" or email.key.startswith(EMAIL_PROOF_KEY):
        return
    if not User.objects.filter(email=email.to, email_proven_at__isnull=False).exists():
        raise AddressNotProven


def _message(email: Email) -> EmailMessage:
    domain = settings.DEFAULT_FROM_EMAIL.rpartition("@")[2]
    headers = {"Message-ID": f"<{email.key}@{domain}>"}
    return EmailMessage(email.subject, email.body, to=[email.to], headers=headers)
