"""What scenarios ask for at least: the promised limits, and over how many requests."""

from __future__ import annotations

import inspect
from datetime import timedelta
from typing import Any
from unittest.mock import MagicMock

import pytest

from drills.fixtures import settings
from drills.main import SCENARIOS
from drills.scenarios import strategies


class Steps(MagicMock):
    """Steps that are always done, those that begin with assert as well."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{**options, "unsafe": True})


Asked = list[tuple[str, tuple[Any, ...], dict[str, Any]]]


def asked_by(name: str, production: Steps | None = None) -> Asked:
    """Each step of a scenario, in order: the method's name, its arguments and its options."""
    production = production or Steps()
    next(each for each in SCENARIOS if each.name == name).run(production)
    return [(call[0].rpartition(".")[2], call[1], call[2]) for call in production.mock_calls]


def options(asked: Asked, name: str) -> list[dict[str, Any]]:
    return [given for each, _, given in asked if each == name]


def arguments(asked: Asked, name: str) -> list[tuple[Any, ...]]:
    return [given for each, given, _ in asked if each == name]


def test_a_scenario_takes_the_image_that_it_names() -> None:
    for scenario in SCENARIOS:
        inspect.signature(scenario.play).bind(None, *([scenario.recipe] if scenario.recipe else ()))


@pytest.mark.parametrize("name", ["errors", "argocd-down", "git-down"])
def test_half_a_percent_is_judged_over_4000_requests_at_least(name: str) -> None:
    asked = asked_by(name)

    assert arguments(asked, "assert_error_rate_below") == [(0.005,)]
    assert options(asked, "assert_error_rate_below") == [{}]
    assert {each["of_at_least"] for each in options(asked, "end_load")} <= {4_000}


def test_errors_lose_their_weight_within_12_s_and_are_rolled_back_10_s_after_the_abort() -> None:
    asked = asked_by("errors")

    assert options(asked, "assert_weight_back_at_zero") == [{"within": timedelta(seconds=12)}]
    assert options(asked, "wait_for_automatic_rollback") == [
        {"within": timedelta(seconds=10), "quarantined": True}
    ]
    assert options(asked, "wait_for_argocd")


@pytest.mark.parametrize(
    ("name", "least"), [("shares", 4_000), ("shares-nginx", 4_000), ("shares-istio", 10_000)]
)
def test_a_share_is_within_one_and_a_half_points_of_its_weight(name: str, least: int) -> None:
    assert options(asked_by(name), "assert_shares") == [{"within_points": 1.5, "of_at_least": least}]


def test_pods_are_replaced_until_10000_requests_were_sent() -> None:
    production = Steps()
    given = production.serving().under().wait_for_single_version()
    given.requests_sent.side_effect = range(0, 20_000, 3_000)

    asked_by("replaced", production)

    assert given.restart_pods.call_count == given.evict_pods.call_count == 4
    given.assert_no_failed_requests.assert_called_once_with(of_at_least=10_000)


def test_the_rush_begins_with_two_pods_so_that_it_is_the_reason_for_four() -> None:
    asked = [(name, arguments) for name, arguments, _ in asked_by("autoscaled")]
    rush = next(place for place, (name, _) in enumerate(asked) if name == "extra_load")

    assert asked[rush - 1] == ("wait_for_stable_replicas", (2,))
    assert ("wait_for_stable_replicas", (4,)) in asked[rush:]
    assert ("assert_no_failed_requests", ()) in asked[rush:]


def test_autoscaling_that_begins_or_ends_takes_no_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "with_settings", lambda *_, **__: "1" * 40)

    asked = asked_by("autoscaling-begins")

    assert options(asked, "assert_replicas") == [{"at_least": 3}, {"at_least": 3}]
    assert options(asked, "assert_no_failed_requests") == [{}]


def test_in_a_bake_one_version_fits_its_memory_target_and_two_would_not() -> None:
    """Per pod 92 MiB were measured; the target was once 80 % of the request."""
    production = Steps()
    strategies.autoscaler_in_bake(production)

    configured = production.configure.call_args.kwargs["settings"]
    request = int(configured["web"]["resources"]["requests"]["memory"].removesuffix("Mi"))
    assert 0.8 * request / 2 < 92 < 0.8 * request
    assert options(asked_by("autoscaler-in-bake"), "assert_replicas") == [{"at_most": 2}]
