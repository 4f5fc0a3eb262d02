"""Mail servers that are slow or hang: how many tasks are queued meanwhile, and how many copies are sent."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone
from redis import Redis

from config.celery import app
from crm.notifications import services, tasks
from crm.notifications.models import Email
from testing.mail import MailServer

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

SMTP = "django.core.mail.backends.smtp.EmailBackend"


@pytest.fixture(autouse=True)
def empty_queue(servers: object) -> Iterator[None]:
    app.control.purge()
    yield
    app.control.purge()


def queued() -> int:
    with Redis.from_url(settings.CELERY_BROKER_URL) as client:
        return int(client.llen("crm"))


def email(key: str = "deal-1-won") -> Email:
    made = services.queue_email(key=key, to="alice@example.com", subject="Won", body="Well done.")
    assert made is not None
    return made


@contextmanager
def sent_through(mail: MailServer, monkeypatch: pytest.MonkeyPatch, *, patience: float) -> Iterator[None]:
    with monkeypatch.context() as change:
        change.setattr(settings, "EMAIL_BACKEND", SMTP)
        change.setattr(settings, "EMAIL_HOST", "127.0.0.1")
        change.setattr(settings, "EMAIL_PORT", mail.port)
        change.setattr(settings, "EMAIL_TIMEOUT", patience)
        yield


def in_minutes(minutes: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of whoever asks Django is so much on."""
    now = timezone.now() + timedelta(minutes=minutes)
    monkeypatch.setattr(timezone, "now", lambda: now)


def test_the_time_outs_fit_into_each_other() -> None:
    """A mail server that takes 15 s for each answer is waited for: banner, EHLO, MAIL, RCPT, DATA, end, QUIT."""
    task: Any = tasks.send_email
    visibility = settings.CELERY_BROKER_TRANSPORT_OPTIONS["visibility_timeout"]
    assert settings.EMAIL_TIMEOUT > 15
    assert 7 * 15 < task.soft_time_limit < task.time_limit < services.SENDING.total_seconds()
    assert services.SENDING.total_seconds() < visibility
    assert services.MARGIN < services.GRACE < services.CLAIM
    entry: Any
    [entry] = settings.CELERY_BEAT_SCHEDULE.values()
    assert entry["options"]["expires"] < entry["schedule"]


@pytest.mark.parametrize("hangs_at", ["", "QUIT"])
def test_a_slow_mail_server_gets_one_copy(monkeypatch: pytest.MonkeyPatch, hangs_at: str) -> None:
    row = email()
    with MailServer(seconds=0.1, hangs_at=hangs_at) as mail, sent_through(mail, monkeypatch, patience=1):
        for _ in range(3):
            services.deliver(row.pk)
    assert len(mail.messages) == 1
    row.refresh_from_db()
    assert (row.status, row.attempts) == (Email.Status.SENT, 1)


def test_no_transaction_is_open_while_a_mail_server_takes_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    row = email()
    in_transaction = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
    with MailServer(held=True) as mail, sent_through(mail, monkeypatch, patience=30):
        sender = threading.Thread(target=deliver_in_thread, args=(row.pk,))
        sender.start()
        assert mail.is_asked.wait(20)
        with connection.cursor() as cursor:
            cursor.execute(in_transaction)
            assert cursor.fetchone() == (0,)
        assert Email.objects.filter(pk=row.pk).update(subject="nobody waits for this") == 1
        assert mail.messages == []
        mail.may_answer.set()
        sender.join()
    assert len(mail.messages) == 1


def deliver_in_thread(pk: int) -> None:
    try:
        services.deliver(pk)
    finally:
        connection.close()


def test_workers_that_have_the_same_task_send_one_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    row = email()
    with MailServer(held=True) as mail, sent_through(mail, monkeypatch, patience=30):
        workers = [threading.Thread(target=deliver_in_thread, args=(row.pk,)) for _ in range(4)]
        for worker in workers:
            worker.start()
        assert mail.is_asked.wait(20)
        deliver_in_thread(row.pk)  # while it is being sent
        mail.may_answer.set()
        for worker in workers:
            worker.join()
    assert len(mail.messages) == 1


def test_a_worker_that_dies_while_it_sends_is_followed_by_another_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Killed(BaseException):
        pass

    def die(*_: object) -> int:
        raise Killed

    row = email()
    monkeypatch.setattr("django.core.mail.backends.locmem.EmailBackend.send_messages", die)
    for round_ in range(services.MAX_ATTEMPTS):
        in_minutes(10 * round_, monkeypatch)
        services.claim_overdue()
        with pytest.raises(Killed):
            services.deliver(row.pk)
        services.deliver(row.pk)  # nobody else touches it meanwhile
        assert services.claim_overdue() == []
    in_minutes(10 * services.MAX_ATTEMPTS, monkeypatch)
    assert services.claim_overdue() == [], "what kills each worker is given up as well"
    row.refresh_from_db()
    assert (row.status, row.attempts) == (Email.Status.FAILED, services.MAX_ATTEMPTS)


def test_a_mail_server_that_hangs_fills_no_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seventeen minutes of beat's clock: 15 e-mails, each in the queue once, and beat's own task never twice."""
    for n in range(15):
        email(f"deal-{n}-won")
    lengths = []
    for minute in range(17):
        in_minutes(minute, monkeypatch)
        tasks.send_overdue_emails()
        lengths.append(alive())
    assert max(lengths) == 15, lengths


def alive() -> int:
    """Tasks in the queue that a worker would not throw away at once."""
    with Redis.from_url(settings.CELERY_BROKER_URL) as client:
        now = timezone.now().isoformat()
        messages = [json.loads(each)["headers"] for each in client.lrange("crm", 0, -1)]
    return sum(1 for headers in messages if not headers["expires"] or headers["expires"] > now)
