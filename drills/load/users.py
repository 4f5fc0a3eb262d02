"""Users of the CRM who sign in, read deals and write some, as requests for the load generator."""

from __future__ import annotations

import base64
import json
import random
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import cycle, islice
from typing import Any

import httpx

from drills.errors import NotReady
from drills.load.results import BETA

_TIMEOUT_SECONDS = 20.0
# As many as a screen shows. A longer list costs the pods more, and the drill has two cores for both.
_PAGE = 10
_SIGN_IN = "auth/token/"
# One new deal in so many is won at once, and a won deal queues a mail: a task for the worker every few seconds.
_WON_EVERY = 10


@dataclass(frozen=True)
class User:
    """Somebody who is signed in, with deals that they own."""

    token: str
    pipeline: Any
    stages: tuple[Any, ...]
    """The open ones, between which a deal may go back and forth."""
    won: Any
    deals: tuple[Any, ...]
    refresh: str
    """Gets another token when that one has ended."""
    account: dict[str, str] = field(default_factory=dict)
    """The name and the password that they sign in with."""

    @property
    def signed_in_until(self) -> float:
        """When the access token ends, in seconds since 1970."""
        payload = self.token.split(".")[1]
        padded = payload + "=" * (-len(payload) % 4)
        return float(json.loads(base64.urlsafe_b64decode(padded))["exp"])


class Api(httpx.Client):
    """The CRM's API as a new user's browser would use it."""

    def __init__(self, router: str, host: str) -> None:
        super().__init__(base_url=f"{router}/api/v1/", headers={"Host": host}, timeout=_TIMEOUT_SECONDS)
        self.router = router
        self.host = host

    def new_user(self, deals: int) -> User:
        """Register somebody, sign them in and give them some deals.

        Raises NotReady.
        """
        name = f"drill-{secrets.token_hex(6)}"
        account = {"username": name, "password": secrets.token_urlsafe(24)}
        self._post("auth/register/", {**account, "email": f"{name}@example.com"})
        tokens = self._post(_SIGN_IN, account)
        token = str(tokens["access"])
        pipeline = self._ask("GET", "pipelines/", token=token)["results"][0]
        stages = pipeline["stages"]
        still_open = tuple(stage["id"] for stage in stages if not (stage["is_won"] or stage["is_lost"]))
        won = next(stage["id"] for stage in stages if stage["is_won"])
        made = [
            self._post("deals/", new_deal(pipeline["id"], number), token=token)["id"]
            for number in range(deals)
        ]
        return User(token, pipeline["id"], still_open, won, tuple(made), str(tokens["refresh"]), account)

    def renew(self, user: User) -> User:
        """Give somebody who has signed in before a new access token.

        Raises NotReady.
        """
        token = self._post("auth/token/refresh/", {"refresh": user.refresh})
        return replace(user, token=str(token["access"]))

    def _post(self, path: str, data: dict[str, Any], token: str = "") -> Any:
        return self._ask("POST", path, data=data, token=token)

    def _ask(self, method: str, path: str, *, data: dict[str, Any] | None = None, token: str = "") -> Any:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            answer = self.request(method, path, json=data, headers=headers)
        except httpx.HTTPError as error:
            raise NotReady(f"{self.host} does not answer {method} {path}: {error!r}") from error
        if not answer.is_success:
            raise NotReady(
                f"{self.host} answered {answer.status_code} to {method} {path}: {answer.text[:300]}"
            )
        return answer.json()


def new_deal(pipeline: Any, number: int) -> dict[str, Any]:
    return {"title": f"Deal {number}", "pipeline": pipeline, "amount": f"{1000 + number}.00"}


def targets(
    api: Api,
    users: list[User],
    count: int,
    *,
    beta: int = 0,
    liveness: float = 0.0,
    sign_ins: float = 0.0,
    seed: int = 1,
) -> list[dict[str, Any]]:
    """Requests in vegeta's JSON format, to be sent over and over; the first `beta` users are of the group beta.

    A share of `liveness` only asks whether a pod lives: that shows what the router does and costs the pods little. They
    lie among the others by chance: a router that takes turns would send each kind of a regular mix to one version. A
    share of `sign_ins` lies among them as well.

    Of the others 35 % are lists, 35 % single deals, 22 % moves and 8 % new deals, some of them won at once. A deal
    moves to another stage each time, and all deals take turns, so that two moves of one deal lie seconds apart.
    """
    dice = random.Random(seed)  # noqa: S311  # the mix of requests is no secret
    turns = cycle(users)
    group = {user.token for user in users[:beta]}
    moves = {user.token: _moves(user) for user in users}
    made = 0
    wanted: list[dict[str, Any]] = []

    def target(user: User, method: str, path: str, body: dict[str, Any] | None = None) -> None:
        wanted.append(_target(api, user, method, path, body, beta=user.token in group))

    for user in islice(turns, count):
        drawn = dice.random()
        if drawn < liveness:
            wanted.append(
                {"method": "GET", "url": f"{api.router}/health/live/", "header": {"Host": [api.host]}}
            )
            continue
        if drawn < liveness + sign_ins:
            target(user, "POST", _SIGN_IN, user.account)
            continue
        kind = dice.choices(("list", "retrieve", "move", "create"), (35, 35, 22, 8))[0]
        match kind:
            case "list":
                target(user, "GET", f"deals/?page_size={_PAGE}")
            case "retrieve":
                target(user, "GET", f"deals/{dice.choice(user.deals)}/")
            case "move":
                moved, stage = next(moves[user.token])
                target(user, "POST", f"deals/{moved}/move/", {"stage": stage})
            case "create":
                made += 1
                deal = new_deal(user.pipeline, made)
                won = {"stage": user.won} if made % _WON_EVERY == 0 else {}
                target(user, "POST", "deals/", deal | won)
    return wanted


def _moves(user: User) -> Iterator[tuple[Any, Any]]:
    for stage in cycle(user.stages):
        for deal in user.deals:
            yield deal, stage


def _target(
    api: Api, user: User, method: str, path: str, body: dict[str, Any] | None, *, beta: bool
) -> dict[str, Any]:
    target: dict[str, Any] = {
        "method": method,
        "url": f"{api.base_url}{path}",
        "header": {"Host": [api.host], "Accept": ["application/json"]},
    }
    if path != _SIGN_IN:
        target["header"]["Authorization"] = [f"Bearer {user.token}"]
    if beta:
        target["header"]["X-User-Group"] = ["beta"]
        target["url"] += f"#{BETA}"  # is recorded and not sent
    if body is not None:
        target["header"]["Content-Type"] = ["application/json"]
        target["body"] = base64.b64encode(json.dumps(body).encode()).decode()
    return target
