"""What a body may say: only what can be set, in characters that can be seen."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from crm.authentication.models import User
from crm.deals.models import Deal, Pipeline
from crm.deals.services import create_deal

TEXTS = (
    ("companies", "name"),
    ("companies", "website"),
    ("companies", "phone"),
    ("contacts", "first_name"),
    ("contacts", "last_name"),
    ("contacts", "phone"),
    ("deals", "title"),
    ("deals", "currency"),
)
UNSEEN = (
    "\u200b",  # zero width space
    "\u202e",  # right-to-left override
    "\u2066",  # isolate
    "\u200f",
    "\ufeff",
    "\u00ad",  # soft hyphen
    "\u3164",  # Hangul filler, to Unicode a letter
    "\u2800",  # a Braille pattern without dots
    "\u2028",
    "\U000e0041",  # tag
    "\x07",
    "\x85",
    "\n",
    "\t",
    "\u200d",  # joiner: what it joins here has no forms to join
    "\u200c",
)
SEEN = (
    "می\u200cخورم",  # Persian: a non-joiner is spelling
    "क्\u200dष",  # Devanagari: a joiner is spelling
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",  # a family
    "\u2764\ufe0f\u200d\U0001f525",  # a heart on fire
    "Zoë O'Brien-Šťastný 株式会社 שָׁלוֹם",
)


@pytest.fixture
def bodies(sales: Pipeline) -> dict[str, dict[str, Any]]:
    return {
        "companies": {"name": "Acme"},
        "contacts": {"last_name": "Doe"},
        "deals": {"title": "Big", "pipeline": sales.pk, "amount": "5.00"},
    }


@pytest.fixture
def deal(alice: User, sales: Pipeline) -> Deal:
    return create_deal(by=alice, pipeline=sales, title="Big one", amount=1000)


def fields(answer: Any) -> list[str]:
    assert answer.status_code == 400, answer.json()
    return list(answer.json()["error"]["fields"])


@pytest.mark.parametrize(("kind", "field"), TEXTS)
def test_every_text_refuses_what_nobody_sees(
    api: APIClient, bodies: dict[str, dict[str, Any]], kind: str, field: str
) -> None:
    answer = api.post(f"/api/v1/{kind}/", bodies[kind] | {field: "pay\u200bpal"})
    assert fields(answer) == [field]
    sentence = "There is a character that nobody sees, U+200B; leave it out."
    assert sentence in answer.json()["error"]["fields"][field]


@pytest.mark.parametrize("unseen", UNSEEN, ids=lambda text: f"U+{ord(text):04X}")
def test_no_unseen_character_is_taken(api: APIClient, unseen: str) -> None:
    assert fields(api.post("/api/v1/companies/", {"name": f"pay{unseen}pal"})) == ["name"]
    assert fields(api.patch("/api/v1/users/me/", {"last_name": f"é{unseen}é"})) == ["last_name"]


@pytest.mark.parametrize("text", SEEN)
def test_characters_that_a_script_needs_are_taken(api: APIClient, text: str) -> None:
    answer = api.post("/api/v1/companies/", {"name": text})
    assert (answer.status_code, answer.json()["name"]) == (201, text)


def test_a_joiner_joins_two(api: APIClient) -> None:
    for text in ("می\u200c", "\u200cمی", "م\u200c\u200cی"):
        assert fields(api.post("/api/v1/companies/", {"name": text})) == ["name"]


def test_who_registers_is_seen_too(anonymous: APIClient, db: None) -> None:
    dana = {"username": "da\u200bna", "email": "dana@example.com", "password": "correct horse"}
    assert fields(anonymous.post("/api/v1/auth/register/", dana)) == ["username"]
    # A password is seen by nobody anyway.
    dana |= {"username": "dana", "password": "correct\u200bhorse"}
    assert anonymous.post("/api/v1/auth/register/", dana).status_code == 201
    sign_in = {"username": "dana", "password": dana["password"]}
    assert anonymous.post("/api/v1/auth/token/", sign_in).status_code == 200


@pytest.mark.parametrize(
    ("name", "value"), [("username", "root"), ("team", 0), ("email", "a@b.com"), ("id", 0)]
)
def test_what_cannot_be_changed_is_said_so(api: APIClient, alice: User, name: str, value: object) -> None:
    answer = api.patch("/api/v1/users/me/", {"first_name": "Alice", name: value})
    assert fields(answer) == [name]
    assert answer.json()["error"]["fields"][name] == ["This cannot be changed."]
    alice.refresh_from_db()
    assert alice.first_name == ""


def test_a_record_keeps_its_owner(api: APIClient, deal: Deal, bob: User) -> None:
    assert fields(api.patch(f"/api/v1/deals/{deal.pk}/", {"owner": bob.pk})) == ["owner"]
    assert fields(api.patch(f"/api/v1/deals/{deal.pk}/", {"status": "won"})) == ["status"]


@pytest.mark.parametrize("address", ["users/me/", "deals/", "companies/"])
def test_who_sends_back_what_was_read_may(api: APIClient, deal: Deal, address: str) -> None:
    if address == "deals/":
        address += f"{deal.pk}/"
    if address == "companies/":
        address += f"{api.post('/api/v1/companies/', {'name': 'Acme'}).json()['id']}/"
    read = api.get(f"/api/v1/{address}").json()
    for _ in range(2):  # the second time it is behind by what the first one made of updated_at
        answer = api.patch(f"/api/v1/{address}", read)
        assert answer.status_code == 200, answer.json()


def test_a_name_that_there_is_not_is_said_so(
    api: APIClient,
    anonymous: APIClient,
    deal: Deal,
    bodies: dict[str, dict[str, Any]],
) -> None:
    for kind, body in bodies.items():
        answer = api.post(f"/api/v1/{kind}/", body | {"titel": "Big"})
        assert fields(answer) == ["titel"]
        assert answer.json()["error"]["fields"]["titel"] == ["There is no such field."]
    assert fields(api.patch(f"/api/v1/deals/{deal.pk}/", {"titel": "Bigger"})) == ["titel"]
    assert fields(api.post(f"/api/v1/deals/{deal.pk}/move/", {"stage": deal.stage_id, "to": 1})) == ["to"]
    assert fields(api.post("/api/v1/auth/invitations/", {"email": "a@example.com", "team": 1})) == ["team"]
    dana = {"username": "dana", "email": "dana@example.com", "password": "correct horse", "team": 1}
    assert fields(anonymous.post("/api/v1/auth/register/", dana)) == ["team"]


def test_what_is_given_by_us_cannot_be_set(
    api: APIClient, bob: User, bodies: dict[str, dict[str, Any]]
) -> None:
    for kind, body in bodies.items():
        answer = api.post(f"/api/v1/{kind}/", body | {"owner": bob.pk})
        assert answer.json()["error"]["fields"] == {"owner": ["This cannot be set."]}


@pytest.mark.parametrize("body", [[], "text", 1, [{}]])
def test_a_body_that_is_no_object_is_refused(api: APIClient, body: object) -> None:
    assert api.post("/api/v1/companies/", body).status_code == 400
