"""An address is proven by a mail to it, and with EMAIL_PROOF=required gets nothing else before."""

import re
from datetime import timedelta

import pytest
from django.core import mail, signing
from django.utils import timezone
from pytest_django import Settings
from rest_framework.test import APIClient

from crm.authentication.models import User
from crm.deals.models import Stage
from crm.deals.services import create_deal
from crm.notifications import services as outbox
from crm.notifications.models import Email

pytestmark = pytest.mark.security

DANA = {"username": "dana-buy-at-example.org", "email": "Dana@example.com", "password": "correct horse"}


@pytest.fixture
def dana(anonymous: APIClient, db: None) -> User:
    answer = anonymous.post("/api/v1/auth/register/", DANA)
    assert (answer.status_code, answer.json()["email_proven_at"]) == (201, None)
    return User.objects.get()


def proof_in(email: Email) -> str:
    [proof] = re.findall(r"^\S{40,}$", email.body, re.MULTILINE)
    return str(proof)


def proven(client: APIClient, proof: object) -> str:
    """`proven`, or the code of the error."""
    answer = client.post("/api/v1/auth/email-proof/", {"proof": proof})
    return "proven" if answer.status_code == 204 else str(answer.json()["error"]["code"])


def test_who_registers_gets_one_mail_with_nothing_in_it_that_they_wrote(dana: User) -> None:
    email = Email.objects.get()
    assert email.to == "Dana@example.com"
    assert "buy" not in email.subject + email.body


def test_the_proof_in_it_proves_the_address(anonymous: APIClient, dana: User) -> None:
    proof = proof_in(Email.objects.get())
    assert proven(anonymous, proof) == "proven"
    dana.refresh_from_db()
    first = dana.email_proven_at
    assert first is not None
    assert proven(anonymous, proof) == "proven", "whoever follows it twice is told the same"
    dana.refresh_from_db()
    assert dana.email_proven_at == first


@pytest.mark.parametrize("change", ["address", "locked out", "gone"])
def test_a_proof_is_of_one_address_of_one_user(anonymous: APIClient, dana: User, change: str) -> None:
    proof = proof_in(Email.objects.get())
    if change == "address":
        User.objects.update(email="eve@example.com")
    elif change == "locked out":
        User.objects.update(is_active=False)
    else:
        dana.delete()
    assert proven(anonymous, proof) == "email_proof_invalid"
    assert not User.objects.exclude(email_proven_at=None).exists()


def test_a_proof_ends(anonymous: APIClient, dana: User, monkeypatch: pytest.MonkeyPatch) -> None:
    proof = proof_in(Email.objects.get())
    now = timezone.now().timestamp()
    monkeypatch.setattr("django.core.signing.time.time", lambda: now + 3 * 24 * 3600 + 5)
    assert proven(anonymous, proof) == "email_proof_invalid"


def test_another_signature_proves_nothing(anonymous: APIClient, dana: User) -> None:
    said = [dana.pk, dana.email]
    for proof in ("forged", signing.dumps(said), signing.dumps(said, salt="authentication.invitation")):
        assert proven(anonymous, proof) == "email_proof_invalid"
    nothing: tuple[object, ...] = (None, [], {}, "", "x" * 2000)
    for strange in nothing:
        assert proven(anonymous, strange) == "invalid"


def test_a_user_asks_for_another_mail(api: APIClient, alice: User) -> None:
    for _ in range(3):
        assert api.post("/api/v1/users/me/email-proof/").status_code == 202
    assert proven(api, proof_in(Email.objects.get())) == "proven", "one a minute is enough"
    answer = api.post("/api/v1/users/me/email-proof/")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "email_proven")
    assert api.get("/api/v1/users/me/").json()["email_proven_at"]
    assert APIClient().post("/api/v1/users/me/email-proof/").status_code == 401


def test_nobody_says_themselves_that_an_address_is_theirs(api: APIClient) -> None:
    for body in ({"email_proven_at": "2026-01-01T00:00:00Z"}, {"email": "eve@example.com"}):
        assert api.patch("/api/v1/users/me/", body).status_code == 400


def win(user: User, stages: dict[str, Stage]) -> Email:
    create_deal(by=user, pipeline=stages["Won"].pipeline, stage=stages["Won"], title="Buy now", amount=5)
    email = Email.objects.get(key__endswith="-won")
    outbox.deliver(email.pk)
    email.refresh_from_db()
    return email


@pytest.mark.parametrize("mode", ["optional", "required"])
def test_what_users_write_goes_to_proven_addresses(
    alice: User, stages: dict[str, Stage], settings: Settings, mode: str
) -> None:
    settings.EMAIL_PROOF = mode
    email = win(alice, stages)
    assert len(mail.outbox) == (mode == "optional")
    if mode == "required":
        assert email.status == Email.Status.READY, "the address may be proven yet"
        User.objects.update(email_proven_at=timezone.now())
        Email.objects.update(due_at=timezone.now() - timedelta(seconds=1))
        outbox.deliver(email.pk)
        assert len(mail.outbox) == 1


def test_what_an_older_version_queued_is_kept_back_as_well(
    alice: User, charlie: User, settings: Settings
) -> None:
    """`alice` is a user from before the proof: nobody has proven her address."""
    settings.EMAIL_PROOF = "required"
    User.objects.filter(pk=charlie.pk).update(email_proven_at=timezone.now())
    for user in (alice, charlie):
        email = Email.objects.create(key=f"deal-won-{user.pk}", to=user.email, subject="Won: Buy", body="")
        outbox.deliver(email.pk)
    assert [sent.to for sent in mail.outbox] == [[charlie.email]]


def test_the_mail_that_asks_for_the_proof_is_sent_all_the_same(
    dana: User, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.EMAIL_PROOF = "required"
    outbox.deliver(Email.objects.get().pk)
    [sent] = mail.outbox
    assert sent.to == ["Dana@example.com"]


def test_a_mail_that_is_kept_back_is_logged_without_the_address(
    alice: User, stages: dict[str, Stage], settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.EMAIL_PROOF = "required"
    email = win(alice, stages)
    assert f"E-mail {email.key} was not sent: AddressNotProven" in caplog.text
    assert "example.com" not in caplog.text
