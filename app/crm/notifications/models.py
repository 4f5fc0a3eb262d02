"""The outbox: an e-mail is a row of the transaction that caused it, and is sent afterwards."""

from django.db import models
from django.db.models.functions import Now


class Email(models.Model):
    class Status(models.TextChoices):
        READY = "ready"
        SENT = "sent"
        FAILED = "failed"

    # What the e-mail is about, e.g. "deal-17-won": never queued twice, and its Message-ID.
    key = models.CharField(max_length=100, unique=True)
    to = models.EmailField()
    subject = models.CharField(max_length=300)
    body = models.TextField()
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.READY)
    attempts = models.PositiveSmallIntegerField(default=0, db_default=0)
    # When the beat looks for it, should the task that was queued for it be lost or have failed.
    due_at = models.DateTimeField(db_default=Now())
    # A worker has begun to send it, and nobody else does before then.
    sending_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(null=True)

    class Meta:
        # Used by the search for overdue e-mails: sent ones do not burden it.
        indexes = (models.Index(fields=("due_at",), name="email_ready", condition=models.Q(status="ready")),)

    def __str__(self) -> str:
        return self.key
