from __future__ import annotations

import base64
import json
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from typing import Any

import httpx
import pytest

from drills.errors import NotReady
from drills.load.users import Api, User, targets

CLAIMS = base64.urlsafe_b64encode(json.dumps({"exp": 1_800_000_900}).encode()).decode().rstrip("=")
TOKEN = f"head.{CLAIMS}.sign"


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    """An API whose server registers everybody."""
    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", lambda _, request: answer(request))
    return Api("http://router:1", "api.dev.localhost")


def answer(request: httpx.Request) -> httpx.Response:
    assert request.headers["Host"] == "api.dev.localhost"
    bodies: dict[str, Any] = {
        "/api/v1/auth/register/": {"id": 1},
        "/api/v1/auth/token/": {"access": TOKEN, "refresh": "r"},
        "/api/v1/auth/token/refresh/": {"access": f"{TOKEN} anew"},
        "/api/v1/pipelines/": {
            "results": [
                {
                    "id": 3,
                    "stages": [
                        {"id": number, "is_won": number == 13, "is_lost": number == 14}
                        for number in range(10, 15)
                    ],
                }
            ]
        },
        "/api/v1/deals/": {"id": 77},
    }
    request.read()
    return httpx.Response(200, json=bodies[request.url.path], request=request)


def test_a_new_user_is_signed_in_and_has_deals(api: Api) -> None:
    user = api.new_user(deals=2)

    assert user == User(TOKEN, 3, (10, 11, 12), 13, (77, 77), "r", user.account)
    assert user.account.keys() == {"username", "password"}
    assert user.signed_in_until == 1_800_000_900


def test_somebody_who_comes_back_has_another_token_and_everything_of_before(api: Api) -> None:
    user = api.new_user(deals=2)

    assert api.renew(user) == replace(user, token=f"{TOKEN} anew")


def test_a_refusal_is_one_sentence(monkeypatch: pytest.MonkeyPatch, api: Api) -> None:
    refusing = httpx.Response(503, text="down for now")
    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", lambda *_: refusing)

    with pytest.raises(NotReady, match="answered 503 to POST auth/register/: down for now"):
        api.new_user(deals=1)


def test_silence_is_one_sentence(monkeypatch: pytest.MonkeyPatch, api: Api) -> None:
    def silence(*_: object) -> httpx.Response:
        raise httpx.ConnectError("refused")

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", silence)

    with pytest.raises(NotReady, match="does not answer POST auth/register/"):
        api.new_user(deals=1)


def test_most_requests_read_and_some_write() -> None:
    users = [User(f"a.{name}.c", 3, (10, 11, 12), 13, tuple(range(40)), "r") for name in "xyz"]

    wanted = targets(Api("http://router:1", "h"), users, 3000)

    methods = Counter(target["method"] for target in wanted)
    assert 0.66 < methods["GET"] / 3000 < 0.74
    assert all(target["header"]["Host"] == ["h"] for target in wanted)
    assert {target["header"]["Authorization"][0] for target in wanted} == {
        f"Bearer {user.token}" for user in users
    }
    created = [
        target for target in wanted if target["method"] == "POST" and target["url"].endswith("/deals/")
    ]
    assert 0.05 < len(created) / 3000 < 0.11
    assert json.loads(base64.b64decode(created[0]["body"])) == {
        "title": "Deal 1",
        "pipeline": 3,
        "amount": "1001.00",
    }
    won = [target for target in created if json.loads(base64.b64decode(target["body"])).get("stage") == 13]
    assert len(won) == len(created) // 10


def test_a_deal_moves_to_another_stage_each_time() -> None:
    user = User("a.b.c", 3, (10, 11, 12), 13, (1, 2), "r")

    wanted = targets(Api("http://router:1", "h"), [user], 400)

    moves = [target for target in wanted if target["url"].endswith("/deals/1/move/")]
    stages = [json.loads(base64.b64decode(move["body"]))["stage"] for move in moves]
    assert len(stages) > 20
    assert all(before != after for before, after in pairwise(stages))


def test_users_of_the_group_beta_say_so_and_are_known_by_their_urls() -> None:
    users = [User(f"a.{name}.c", 3, (10, 11, 12), 13, tuple(range(40)), "r") for name in "xyz"]

    wanted = targets(Api("http://router:1", "h"), users, 300, beta=1)

    marked = [target for target in wanted if target["header"].get("X-User-Group") == ["beta"]]
    assert len(marked) == 100
    assert {target["header"]["Authorization"][0] for target in marked} == {"Bearer a.x.c"}
    assert [target["url"].endswith("group=beta") for target in wanted] == [
        target in marked for target in wanted
    ]
    lists = {target["url"] for target in marked if "page_size" in target["url"]}
    assert lists == {"http://router:1/api/v1/deals/?page_size=10#group=beta"}


def test_liveness_requests_lie_among_the_other_requests_by_chance() -> None:
    users = [User("a.b.c", 3, (10, 11, 12), 13, tuple(range(40)), "r")]

    wanted = targets(Api("http://router:1", "h"), users, 3000, liveness=0.6)

    look = {"method": "GET", "url": "http://router:1/health/live/", "header": {"Host": ["h"]}}
    assert 0.57 < wanted.count(look) / 3000 < 0.63
    of_each_turn = [wanted[turn::5].count(look) / 600 for turn in range(5)]
    assert all(0.5 < share < 0.7 for share in of_each_turn)


def test_sign_ins_lie_among_the_other_requests_and_need_no_token() -> None:
    account = {"username": "drill-1", "password": "correct horse"}
    user = User("a.b.c", 3, (10, 11, 12), 13, tuple(range(40)), "r", account)

    wanted = targets(Api("http://router:1", "h"), [user], 3000, sign_ins=0.02)

    found = [target for target in wanted if target["url"].endswith("/api/v1/auth/token/")]
    assert 0.01 < len(found) / 3000 < 0.03
    assert {target["method"] for target in found} == {"POST"}
    assert all(json.loads(base64.b64decode(target["body"])) == account for target in found)
    assert not [target for target in found if "Authorization" in target["header"]]
    assert all("Authorization" in target["header"] for target in wanted if target not in found)


def test_nobody_signs_in_where_no_drill_wants_that() -> None:
    user = User("a.b.c", 3, (10, 11, 12), 13, tuple(range(40)), "r")

    assert not [each for each in targets(Api("u", "h"), [user], 1000) if "auth/token/" in each["url"]]
