"""Each drill of the comparison asks for the end that its fault is to have."""

from __future__ import annotations

from typing import Any
from unittest.mock import MagicMock

import pytest

from drills.fixtures import images
from drills.fixtures.images import Image
from drills.load.scanners import Scanners
from drills.scenarios import regressions
from drills.scenarios.regressions import REGRESSIONS
from drills.scenarios.releases import MATRIX
from drills.scenarios.scenario import Scenario

NAMED = {scenario.name: scenario for scenario in REGRESSIONS}
HELD = {"no-metrics", "equal-hotfix"}
GOES_ON = HELD | {"repaired"}
AFTER_FAILING = {"repaired", "worse-hotfix", "equal-hotfix"}


class Steps(MagicMock):
    """Steps that are always done, those that begin with assert as well."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{**options, "unsafe": True})


@pytest.fixture
def production(monkeypatch: pytest.MonkeyPatch) -> Steps:
    monkeypatch.setattr(images, "image", lambda recipe: Image(recipe.version, "sha256:1", "c0ffee"))
    monkeypatch.setattr(regressions, "OnCall", Steps())
    return Steps()


def played(scenario: Scenario, production: Steps) -> Steps:
    """The release that the scenario is about, after it was played."""
    scenario.run(production)
    given = production.serving.return_value.under.return_value
    release: Steps = (
        given.after.return_value if scenario.name in AFTER_FAILING else given
    ).release.return_value
    return release


def test_they_are_part_of_the_matrix_and_each_has_an_image_of_its_own() -> None:
    assert set(REGRESSIONS) <= set(MATRIX)
    recipes = {scenario.recipe for scenario in MATRIX if scenario.recipe} | {regressions._STABLE}
    assert len({recipe.version for recipe in recipes}) == len(recipes)


@pytest.mark.parametrize("name", sorted(NAMED.keys() - GOES_ON))
def test_what_is_worse_is_aborted_and_rolled_back_by_itself(name: str, production: Steps) -> None:
    release = played(NAMED[name], production)

    assert release.wait_for_rollout.call_args_list[0].args == ("Degraded",)
    blamed = name not in {"refused-sign-ins", "lost-routes", "empty-lists"}
    assert release.wait_for_automatic_rollback.call_args.kwargs["quarantined"] is blamed
    rare = {"some-posts", "some-slow", "exits", "refused-sign-ins"}
    release.assert_weight_at_most.assert_called_once_with(20 if name in rare else 5)
    reasons = [call.args for call in release.assert_rollback_reason.call_args_list]
    limited = {"one-team", "scanners-beside-outage"}
    assert reasons == ([] if name in limited else [("\n- regression: ",)])
    (limit,) = release.assert_error_rate_below.call_args.args
    assert limit <= (0.1 if name in AFTER_FAILING else 0.02)
    release.roll_back.assert_not_called()


@pytest.mark.parametrize("name", ["some-slow", "slower", "empty-lists"])
def test_where_every_answer_is_a_good_one_none_may_fail(name: str, production: Steps) -> None:
    assert played(NAMED[name], production).assert_error_rate_below.call_args.args == (0.0,)


@pytest.mark.parametrize("name", sorted(HELD))
def test_what_is_not_known_is_held_until_a_person_ends_it(name: str, production: Steps) -> None:
    release = played(NAMED[name], production)

    names = [call[0] for call in release.method_calls]
    assert (
        names.index("wait_until_undecided")
        < names.index("assert_not_aborted")
        < names.index("wait_until_promoted")
    )
    release.assert_weights.assert_called_once_with(5)
    release.wait_for_automatic_rollback.assert_not_called()


def test_whose_metrics_cannot_be_read_somebody_is_told(production: Steps) -> None:
    release = played(NAMED["no-metrics"], production)

    on_call = regressions.OnCall.return_value  # type: ignore[attr-defined]
    on_call.wait_for_alert.assert_called_once_with("ScrapeTargetDown")
    release.roll_back.assert_called_once_with()


def test_a_good_hotfix_gets_through_and_fails_nobody(production: Steps) -> None:
    release = played(NAMED["repaired"], production)

    release.assert_weights.assert_called_once_with(5, 20, 50, 100)
    failing = production.serving.return_value.under.return_value.after.return_value.stable
    release.assert_failures_only_of.assert_called_once_with(failing)


@pytest.mark.parametrize("name", sorted(AFTER_FAILING))
def test_a_failing_version_is_everybodys_by_a_person_before_its_hotfix(name: str, production: Steps) -> None:
    played(NAMED[name], production)

    failing = production.serving.return_value.under.return_value.release
    assert failing.call_args.args == (regressions._STABLE,)
    failing.return_value.promote_in_full.assert_called_once_with()


def test_scanners_are_there_before_the_release_and_until_its_end(production: Steps) -> None:
    played(NAMED["scanners-beside-outage"], production)

    (load,), _ = production.serving.return_value.under.call_args
    assert load.rate == 1
    given = production.serving.return_value.under.return_value
    given.extra_load.assert_called_once_with(Scanners(24))
    steps = [call[0] for call in given.mock_calls]
    assert steps.index("extra_load().__enter__") < steps.index("release")
    assert steps.index("release().wait_until_promoted") < steps.index("extra_load().__exit__")


def test_sign_ins_are_a_part_of_the_load_where_they_fail(production: Steps) -> None:
    played(NAMED["refused-sign-ins"], production)

    (load,), _ = production.serving.return_value.under.call_args
    assert load.sign_ins == 0.02
