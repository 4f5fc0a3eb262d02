"""What scenarios ask for at least: the promised limits, and over how many requests."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from unittest.mock import MagicMock

import pytest

from drills.fixtures import settings
from drills.main import SCENARIOS
from drills.scenarios import releases

Asked = list[tuple[str, tuple[Any, ...], dict[str, Any]]]


def asked_by(name: str) -> Asked:
    """Everything that a scenario asks of its story, in order: the method's name, its arguments and its options."""
    production = MagicMock()
    next(each for each in SCENARIOS if each.name == name).play(production)
    return [(call[0].rpartition(".")[2], call[1], call[2]) for call in production.mock_calls]


def options(asked: Asked, name: str) -> list[dict[str, Any]]:
    return [given for each, _, given in asked if each == name]


@pytest.mark.parametrize("name", ["errors", "argocd-down", "git-down"])
def test_half_a_percent_is_judged_over_4000_requests_at_least(name: str) -> None:
    asked = asked_by(name)

    assert options(asked, "failed_requests_are") == [{"below": 0.005}]
    assert {each["of_at_least"] for each in options(asked, "load_ends")} == {4_000}


def test_errors_lose_their_weight_within_12_s_and_git_is_healed_10_s_after_the_abort() -> None:
    asked = asked_by("errors")

    assert options(asked, "weight_was_back_at_zero") == [{"within": timedelta(seconds=12)}]
    assert options(asked, "healed") == [{"within": timedelta(seconds=10), "blamed": True}]
    assert options(asked, "argocd_is_content")


@pytest.mark.parametrize(
    ("name", "least"), [("shares", 4_000), ("shares-nginx", 4_000), ("shares-istio", 10_000)]
)
def test_a_share_is_within_one_and_a_half_points_of_its_weight(name: str, least: int) -> None:
    assert options(asked_by(name), "canary_shares_are") == [{"within_points": 1.5, "of_at_least": least}]


def test_pods_are_replaced_until_10000_requests_were_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    when = MagicMock()
    when.requests_sent.side_effect = range(0, 20_000, 3_000)
    monkeypatch.setattr(releases, "When", lambda *_: when)

    asked_by("replaced")

    assert when.pods_replaced.call_count == when.pods_evicted.call_count == 4
    when.no_request_failed.assert_called_once_with(of_at_least=10_000)


def test_the_rush_begins_with_two_pods_so_that_it_is_the_reason_for_four() -> None:
    asked = [(name, arguments) for name, arguments, _ in asked_by("autoscaled")]
    rush = next(place for place, (name, _) in enumerate(asked) if name == "rush")

    assert asked[rush - 1] == ("replicas_are", (2,))
    assert ("replicas_are", (4,)) in asked[rush:]
    assert ("no_request_failed", ()) in asked[rush:]


def test_autoscaling_that_begins_or_ends_takes_no_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "with_settings", lambda *_, **__: "1" * 40)

    asked = [(name, arguments) for name, arguments, _ in asked_by("autoscaling-begins")]

    assert [arguments for name, arguments in asked if name == "replicas_were_never_below"] == [(3,), (3,)]
    assert ("no_request_failed", ()) in asked


def test_in_a_bake_one_version_fits_its_memory_target_and_two_would_not() -> None:
    """Per pod 92 MiB were measured; the target was once 80 % of the request."""
    production = MagicMock()
    releases.autoscaler_in_bake(production)

    request = int(production.settings["web"]["resources"]["requests"]["memory"].removesuffix("Mi"))
    assert 0.8 * request / 2 < 92 < 0.8 * request
    assert options(asked_by("autoscaler-in-bake"), "replicas_were_never_above") == [{}]
