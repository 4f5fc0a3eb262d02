import smtplib
from datetime import timedelta

import pytest
from django.conf import settings
from django.core import mail
from django.db import transaction
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks
from redis import Redis
from rest_framework.test import APIClient

from config.celery import app
from crm.authentication.models import User
from crm.deals.models import Pipeline, Stage
from crm.deals.services import create_deal
from crm.notifications import services
from crm.notifications.models import Email
from crm.notifications.tasks import send_email, send_overdue_emails


@pytest.fixture
def email(db: None) -> Email:
    email = services.queue_email(key="deal-1-won", to="alice@example.com", subject="Won", body="Well done.")
    assert email is not None
    return email


def queued() -> int:
    with Redis.from_url(settings.CELERY_BROKER_URL) as client:
        return int(client.llen("crm"))


@pytest.fixture(autouse=True)
def empty_queue(servers: object) -> None:
    app.control.purge()


def test_a_won_deal_announces_itself_to_its_owner(
    alice: User, sales: Pipeline, stages: dict[str, Stage]
) -> None:
    create_deal(by=alice, pipeline=sales, stage=stages["Won"], title="Big\none", amount=5)
    email = Email.objects.get()
    assert (email.to, email.subject) == ("alice@example.com", "Won: Big one")
    assert "alice won" in email.body


def test_the_task_is_queued_when_the_transaction_is_committed(
    db: None, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        services.queue_email(key="one", to="a@example.com", subject="", body="")
        assert queued() == 0
    assert queued() == 1
    with django_capture_on_commit_callbacks(execute=True), transaction.atomic():
        services.queue_email(key="two", to="a@example.com", subject="", body="")
        transaction.set_rollback(True)
    assert queued() == 1


def test_a_task_that_runs_twice_sends_once(email: Email) -> None:
    send_email(email.pk)
    send_email(email.pk)
    send_email(0)
    [sent] = mail.outbox
    assert sent.extra_headers["Message-ID"] == "<deal-1-won@localhost>"
    email.refresh_from_db()
    assert email.status == Email.Status.SENT
    assert email.sent_at is not None


@pytest.mark.parametrize(
    "error", [ConnectionRefusedError(), smtplib.SMTPServerDisconnected(), UnicodeError("label too long")]
)
def test_a_failed_e_mail_becomes_due_later_and_is_given_up_in_the_end(
    email: Email, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object) -> int:
        raise error

    monkeypatch.setattr("django.core.mail.backends.locmem.EmailBackend.send_messages", fail)
    send_email(email.pk)
    email.refresh_from_db()
    assert (email.status, email.attempts) == (Email.Status.READY, 1)
    assert email.due_at > timezone.now()
    for _ in range(services.MAX_ATTEMPTS):
        send_email(email.pk)
    email.refresh_from_db()
    assert (email.status, email.attempts) == (Email.Status.FAILED, services.MAX_ATTEMPTS)


def overdue() -> list[int]:
    Email.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    return services.claim_overdue()


def test_beat_finds_lost_e_mails(email: Email) -> None:
    assert services.claim_overdue() == []
    Email.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    send_overdue_emails()
    assert queued() == 1
    assert services.claim_overdue() == [], "it waits for the task that was queued for it"
    send_email(email.pk)
    assert overdue() == []


def test_e_mails_that_are_never_sent_take_turns_with_the_others(email: Email) -> None:
    Email.objects.bulk_create(
        Email(key=f"bad-{n}", to="a@example.com", due_at=timezone.now() - timedelta(hours=1))
        for n in range(500)
    )
    Email.objects.filter(pk=email.pk).update(due_at=timezone.now() - timedelta(minutes=1))
    assert email.pk not in services.claim_overdue()
    assert services.claim_overdue() == [email.pk]


UNDELIVERABLE = (
    "a@" + "é" * 60 + ".com",  # more than the 63 letters of a domain's label, once it is encoded
    "a@" + ".".join(["é" * 10] * 20) + ".com",
    "a@" + ".".join(["İ" * 10] * 20) + ".com",  # grows past the column in lower case
    "\u017f@example.com",  # no letter of ASCII, though Django takes it for one
    "a@\u200dé.com",
    '"\\\x01"@example.com',
)


@pytest.mark.parametrize("address", UNDELIVERABLE)
def test_an_address_that_no_mail_server_can_be_told_is_refused(api: APIClient, address: str) -> None:
    dana = {"username": "dana", "email": address, "password": "correct horse"}
    for path, body in (
        ("/api/v1/auth/register/", dana),
        ("/api/v1/contacts/", {"last_name": "Doe", "email": address}),
    ):
        answer = api.post(path, body)
        assert answer.status_code == 400
        assert list(answer.json()["error"]["fields"]) == ["email"]


@pytest.mark.parametrize("address", ["a@é.com", "a@xn--9ca.com", "a.b+c@[192.0.2.1]", ""])
def test_other_addresses_are_not(api: APIClient, address: str) -> None:
    assert api.post("/api/v1/contacts/", {"last_name": "Doe", "email": address}).status_code == 201


@pytest.mark.django_db(transaction=True)
def test_a_deal_is_won_even_while_the_broker_is_away(
    api: APIClient, sales: Pipeline, stages: dict[str, Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr(app, "send_task", away)
    body = {"title": "Big", "pipeline": sales.pk, "stage": stages["Won"].pk, "amount": "5"}
    assert api.post("/api/v1/deals/", body).status_code == 201
    assert Email.objects.get().status == Email.Status.READY
