import threading
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.core import signing
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from pytest_django import DjangoCaptureOnCommitCallbacks
from rest_framework.test import APIClient
from rest_framework_simplejwt.tokens import RefreshToken

from crm.api.errors import handle
from crm.authentication import services
from crm.authentication.api.serializers import RegistrationSerializer, UserSerializer
from crm.authentication.models import Invitation, User
from crm.metrics.business import SIGN_INS, USER_REGISTRATIONS

pytestmark = pytest.mark.security

DANA = {"username": "dana", "email": "dana@example.com", "password": "correct horse"}


def registrations() -> float:
    return float(USER_REGISTRATIONS._value.get())


def test_who_registers_can_sign_in(anonymous: APIClient, db: None) -> None:
    answer = anonymous.post("/api/v1/auth/register/", DANA)
    assert answer.status_code == 201
    assert answer.json()["team"]["name"] == "dana"
    assert "password" not in answer.json()

    tokens = anonymous.post("/api/v1/auth/token/", {"username": "dana", "password": "correct horse"}).json()
    anonymous.credentials(HTTP_AUTHORIZATION=f"Bearer {tokens['access']}")
    assert anonymous.get("/api/v1/users/me/").json()["username"] == "dana"
    refreshed = anonymous.post("/api/v1/auth/token/refresh/", {"refresh": tokens["refresh"]})
    assert refreshed.json()["access"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"username": "alice"}, "username"),
        ({"username": "\uff41lice"}, "username"),  # a full-width letter
        ({"username": "Alice"}, "username"),
        ({"username": "\ufdfa" * 10}, "username"),  # 18 characters each, once it is normalised
        ({"username": "\ufb03" * 60}, "username"),
        ({"email": "ALICE@example.com"}, "email"),
        ({"email": "not an address"}, "email"),
        ({"email": None}, "email"),
        ({"password": "12345678"}, "password"),
        ({"password": "short"}, "password"),
    ],
)
def test_a_bad_registration_is_refused(
    alice: User, anonymous: APIClient, change: dict[str, str], field: str
) -> None:
    answer = anonymous.post("/api/v1/auth/register/", DANA | change)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid"
    assert list(answer.json()["error"]["fields"]) == [field]


def test_the_e_mail_address_is_unique_in_the_database_too(
    alice: User, anonymous: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when two register at the same moment, and neither sees the other."""
    monkeypatch.setattr(
        "crm.authentication.api.serializers.RegistrationSerializer.validate_email", lambda _, email: email
    )
    answer = anonymous.post("/api/v1/auth/register/", DANA | {"email": "Alice@Example.com"})
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "conflict"


@pytest.mark.django_db(transaction=True)
def test_two_who_register_one_name_at_the_same_moment_do_not_both_get_it(servers: object) -> None:
    together = threading.Barrier(2)
    statuses: list[object] = []

    def register(username: str) -> None:
        try:
            serializer = RegistrationSerializer(
                data=DANA | {"username": username, "email": f"{ord(username[0])}@example.com"}
            )
            serializer.is_valid(raise_exception=True)
            together.wait()
            services.register_user(**serializer.validated_data)
            statuses.append("registered")
        except IntegrityError as error:
            answer = handle(error, {})
            statuses.append(answer and answer.status_code)
        finally:
            connection.close()

    both = [threading.Thread(target=register, args=(name,)) for name in ("Dana", "dana")]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert sorted(statuses, key=str) == [409, "registered"]


def test_namesakes_from_before_are_for_a_person_to_tell_apart(alice: User, charlie: User) -> None:
    migration = import_module("crm.authentication.migrations.0003_username_unique_in_any_case")
    migration.refuse_namesakes(apps, None)
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX user_username_unique")
    User.objects.filter(pk=charlie.pk).update(username="Alice")
    with pytest.raises(RuntimeError, match=rf"keys \[{alice.pk}, {charlie.pk}\] differ"):
        migration.refuse_namesakes(apps, None)


@pytest.mark.django_db(transaction=True)
def test_the_index_that_a_failed_migration_has_left_is_built_anew(servers: object) -> None:
    call_command("migrate", "authentication", "0002", verbosity=0)
    try:
        with connection.cursor() as cursor:
            cursor.execute("CREATE INDEX user_username_unique ON authentication_user (username)")
    finally:
        call_command("migrate", verbosity=0)
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE indexname = 'user_username_unique'")
        assert cursor.fetchone()[0].startswith("CREATE UNIQUE INDEX")


@pytest.mark.parametrize("typed", ["\ufb01ona", "\uff26iona"])  # a ligature, a full-width letter
def test_who_registers_signs_in_with_what_was_typed(anonymous: APIClient, db: None, typed: str) -> None:
    registered = anonymous.post("/api/v1/auth/register/", DANA | {"username": typed})
    assert registered.json()["username"].isascii()
    for name in (typed, registered.json()["username"]):
        body = {"username": name, "password": DANA["password"]}
        assert anonymous.post("/api/v1/auth/token/", body).status_code == 200


def test_a_new_password_ends_every_token(alice: User, anonymous: APIClient) -> None:
    sign_in = {"username": "alice", "password": "correct horse"}
    tokens = anonymous.post("/api/v1/auth/token/", sign_in).json()
    alice.set_password("battery staple")
    alice.save()
    refreshed = anonymous.post("/api/v1/auth/token/refresh/", {"refresh": tokens["refresh"]})
    assert (refreshed.status_code, refreshed.json()["error"]["code"]) == (401, "password_changed")
    asked = anonymous.get("/api/v1/users/me/", headers={"authorization": f"Bearer {tokens['access']}"})
    assert (asked.status_code, asked.json()["error"]["code"]) == (401, "password_changed")
    again = anonymous.post("/api/v1/auth/token/", sign_in | {"password": "battery staple"}).json()
    new = anonymous.post("/api/v1/auth/token/refresh/", {"refresh": again["refresh"]}).json()
    answer = anonymous.get("/api/v1/users/me/", headers={"authorization": f"Bearer {new['access']}"})
    assert answer.status_code == 200


def test_a_token_of_the_version_before_signs_nobody_out(alice: User, anonymous: APIClient) -> None:
    refresh = str(RefreshToken.for_user(alice))
    assert anonymous.post("/api/v1/auth/token/refresh/", {"refresh": refresh}).status_code == 200


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_of_a_token_may_be_written_in_any_case(
    alice: User, anonymous: APIClient, scheme: str
) -> None:
    header = f"{scheme} {RefreshToken.for_user(alice).access_token}"
    assert anonymous.get("/api/v1/users/me/", headers={"authorization": header}).status_code == 200


def test_a_wrong_password_is_401(alice: User, anonymous: APIClient) -> None:
    answer = anonymous.post("/api/v1/auth/token/", {"username": "alice", "password": "wrong"})
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "no_active_account"


@pytest.mark.parametrize("token", ["", "Bearer x", "Bearer"])
def test_a_bad_token_is_401(anonymous: APIClient, token: str, db: None) -> None:
    answer = anonymous.get("/api/v1/users/me/", HTTP_AUTHORIZATION=token)
    assert answer.status_code == 401
    assert answer.json()["error"]["message"]


def test_the_refresh_token_of_a_deleted_user_is_401(charlie: User, anonymous: APIClient) -> None:
    refresh = str(RefreshToken.for_user(charlie))
    charlie.delete()
    answer = anonymous.post("/api/v1/auth/token/refresh/", {"refresh": refresh})
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "no_active_account"


def test_the_refresh_token_of_a_locked_user_is_401(charlie: User, anonymous: APIClient) -> None:
    refresh = str(RefreshToken.for_user(charlie))
    User.objects.filter(pk=charlie.pk).update(is_active=False)
    assert anonymous.post("/api/v1/auth/token/refresh/", {"refresh": refresh}).status_code == 401


def test_a_registration_counts_once_it_is_committed(
    db: None, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    before = registrations()
    with django_capture_on_commit_callbacks(execute=True):
        services.register_user(**DANA)
        assert registrations() == before
    assert registrations() == before + 1


def test_a_registration_that_is_rolled_back_does_not_count(
    db: None, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    before = registrations()
    with django_capture_on_commit_callbacks(execute=True), transaction.atomic():
        services.register_user(**DANA)
        transaction.set_rollback(True)
    assert registrations() == before


@pytest.mark.parametrize(("password", "counted"), [("correct horse", 1), ("wrong", 0)])
def test_who_signs_in_counts_and_who_only_tries_does_not(
    alice: User,
    anonymous: APIClient,
    password: str,
    counted: int,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    before = SIGN_INS._value.get()
    with django_capture_on_commit_callbacks(execute=True):
        anonymous.post("/api/v1/auth/token/", {"username": "alice", "password": password})
        assert SIGN_INS._value.get() == before
    assert SIGN_INS._value.get() == before + counted


@pytest.fixture
def invited(api: APIClient) -> str:
    """What Alice gives to Dana."""
    answer = api.post("/api/v1/auth/invitations/", {"email": "Dana@example.com"})
    assert answer.status_code == 201, answer.json()
    return str(answer.json()["invitation"])


def registered(client: APIClient, invitation: str, **change: str) -> Any:
    """The team into which it led, or the error's code."""
    answer = client.post("/api/v1/auth/register/", DANA | {"invitation": invitation} | change).json()
    return answer["team"]["id"] if "team" in answer else answer["error"]["code"]


def test_an_invitation_leads_into_the_team_once(alice: User, anonymous: APIClient, invited: str) -> None:
    assert registered(anonymous, invited) == alice.team_id
    User.objects.filter(username="dana").update(email="dana@example.org")
    assert registered(anonymous, invited, username="dana2") == "invitation_invalid"


def test_an_invitation_is_for_one_address(anonymous: APIClient, invited: str) -> None:
    assert registered(anonymous, invited, email="eve@example.com") == "invitation_invalid"
    assert registered(anonymous, invited) != "invitation_invalid"


@pytest.mark.parametrize("change", ["locked out", "in another team", "gone"])
def test_an_invitation_ends_with_the_membership_of_its_inviter(
    alice: User, charlie: User, anonymous: APIClient, invited: str, change: str
) -> None:
    if change == "locked out":
        User.objects.filter(pk=alice.pk).update(is_active=False)
    elif change == "in another team":
        User.objects.filter(pk=alice.pk).update(team=charlie.team)
    else:
        alice.delete()
    assert registered(anonymous, invited) == "invitation_invalid"


@pytest.mark.parametrize(
    ("who", "status", "opens"),
    [
        ("alice", 204, False),
        ("bob", 403, True),
        ("staff", 204, False),
        ("charlie", 404, True),
        ("nobody", 401, True),
    ],
)
def test_who_invited_and_the_teams_staff_withdraw_an_invitation(
    who: str,
    status: int,
    opens: bool,
    alice: User,
    bob: User,
    charlie: User,
    anonymous: APIClient,
    as_user: Callable[[User], APIClient],
    invited: str,
) -> None:
    User.objects.filter(pk=bob.pk).update(is_staff=who == "staff")
    [open_one] = as_user(bob).get("/api/v1/auth/invitations/").json()["results"]
    assert (open_one["email"], open_one["by"]) == ("Dana@example.com", alice.pk)
    assert as_user(charlie).get("/api/v1/auth/invitations/").json()["count"] == 0
    users = {"alice": alice, "bob": bob, "staff": bob, "charlie": charlie}
    client = as_user(users[who]) if who in users else APIClient()
    assert client.delete(f"/api/v1/auth/invitations/{open_one['id']}/").status_code == status
    assert (registered(anonymous, invited) == alice.team_id) == opens
    assert as_user(bob).get("/api/v1/auth/invitations/").json()["count"] == 0


def test_invitations_of_the_same_second_are_for_different_people(
    api: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("django.core.signing.time.time", lambda: 1_800_000_000)
    for n in range(3):
        assert api.post("/api/v1/auth/invitations/", {"email": f"{n}@example.com"}).status_code == 201


def test_an_invitation_names_an_address(api: APIClient) -> None:
    answer = api.post("/api/v1/auth/invitations/")
    assert answer.status_code == 400
    assert list(answer.json()["error"]["fields"]) == ["email"]


def test_two_versions_take_each_others_invitations(alice: User, anonymous: APIClient, invited: str) -> None:
    assert signing.loads(invited, salt=services.INVITATION_SALT) == alice.team_id
    theirs = signing.dumps(alice.team_id, salt=services.INVITATION_SALT)
    Invitation.objects.all().delete()
    assert registered(anonymous, theirs) == alice.team_id


@pytest.mark.parametrize(
    "invitation",
    ["forged", signing.dumps(4711, salt="another"), signing.dumps(4711, salt=services.INVITATION_SALT)],
    ids=["forged", "of another salt", "of no team"],
)
def test_a_bad_invitation_is_refused(anonymous: APIClient, invitation: str, db: None) -> None:
    answer = anonymous.post("/api/v1/auth/register/", DANA | {"invitation": invitation})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invitation_invalid"
    assert not User.objects.exists()


def test_a_change_of_a_name_does_not_undo_a_lock_out_that_happened_meanwhile(alice: User) -> None:
    read_before = User.objects.get(pk=alice.pk)
    User.objects.filter(pk=alice.pk).update(is_active=False, password="!", is_staff=True)
    change = UserSerializer(read_before, data={"first_name": "Alice"}, partial=True)
    change.is_valid(raise_exception=True)
    change.save()
    alice.refresh_from_db()
    assert (alice.first_name, alice.is_active, alice.password, alice.is_staff) == ("Alice", False, "!", True)


def test_a_superuser_gets_a_team(db: None) -> None:
    assert User.objects.create_superuser("root", "root@example.com", "correct horse").team.name == "root"
