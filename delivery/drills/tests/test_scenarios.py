"""What scenarios of the matrix ask for: the figures that MISSION.md promises, and over how many requests."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Self

import pytest

from delivery.drills import images, scenarios
from delivery.drills.matrix import SCENARIOS


class Story:
    """An environment and whatever follows from it: it does nothing and keeps what it was asked, in order."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.sent = 0
        self.stable = None
        self.image = images.good("1.1")

    def __getattr__(self, name: str) -> Any:
        def ask(*arguments: Any, **options: Any) -> Story:
            self.asked.append((name, arguments, options))
            return self

        return ask

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    @property
    def environment(self) -> Self:
        return self

    def requests_sent(self) -> int:
        """Each look at it is 3,000 requests later than the one before."""
        self.sent += 3_000
        return self.sent - 3_000

    def options(self, name: str) -> list[dict[str, Any]]:
        return [options for asked, _, options in self.asked if asked == name]


def told(name: str) -> Story:
    story = Story()
    scenario = next(each for each in SCENARIOS if each.name == name)
    scenario.play(story)  # type: ignore[arg-type]
    return story


@pytest.mark.parametrize("name", ["errors", "argocd-down", "git-down"])
def test_half_a_percent_is_judged_over_4000_requests_at_least(name: str) -> None:
    story = told(name)

    assert story.options("failed_requests_are") == [{"below": 0.005}]
    assert all(each["of_at_least"] == 4_000 for each in story.options("load_ends"))


def test_errors_lose_their_weight_within_12_s_and_git_is_healed_10_s_after_the_abort() -> None:
    story = told("errors")

    assert story.options("weight_was_back_at_zero") == [{"within": timedelta(seconds=12)}]
    assert story.options("healed") == [{"within": timedelta(seconds=10), "blamed": True}]
    assert story.options("argocd_is_content")


@pytest.mark.parametrize(
    ("name", "least"), [("shares", 4_000), ("shares-nginx", 4_000), ("shares-istio", 10_000)]
)
def test_a_share_is_within_one_and_a_half_points_of_its_weight(name: str, least: int) -> None:
    story = told(name)

    assert story.options("canary_shares_are") == [{"within_points": 1.5, "of_at_least": least}]


def test_pods_are_replaced_until_10000_requests_were_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenarios, "When", lambda story, _: story)

    story = told("replaced")

    assert len(story.options("pods_replaced")) == len(story.options("pods_evicted")) == 4
    assert story.options("no_request_failed") == [{"of_at_least": 10_000}]


def test_the_rush_begins_with_two_pods_so_that_it_is_the_reason_for_four() -> None:
    asked = [(name, arguments) for name, arguments, _ in told("autoscaled").asked]
    rush = next(place for place, (name, _) in enumerate(asked) if name == "rush")

    assert asked[rush - 1] == ("replicas_are", (2,))
    assert asked[rush + 1] == ("replicas_are", (4,))
    assert ("no_request_failed", ()) in asked[rush:]
