"""What happens in one environment stays there."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from drills.fixtures import argocd
from drills.fixtures.images import good
from drills.fixtures.settings import push_by_hand
from drills.load.traffic import traffic
from drills.scenarios.releases import other_good_version, serving_now
from drills.steps.story import Environment, minutes, seconds

pytestmark = pytest.mark.e2e

BROKEN_FILES = {
    "not-yaml": ("revision: [unfinished\n", "is not YAML"),
    "lacks-a-field": (
        "revision: '0123456789012345678901234567890123456789'\nstrategy: canary\n",
        "has no field image",
    ),
}


def test_a_rolling_update_costs_no_request(dev: Environment) -> None:
    """A rolling update in dev."""
    # As few as in test_production, and for the same reason (decision 0015).
    given = dev.serving("1.0").under(traffic(rate=20))

    when = given.released(good("1.1"))

    when.rollout_is("Healthy", within=minutes(2))
    when.requests_go_on(200)
    when.load_goes_on(until_requests=1_100)
    when.no_request_failed(of_at_least=1_000)


def test_argocd_app_sync_works_by_hand(dev: Environment) -> None:
    dev.serving("1.1")

    said = argocd.sync("crm-dev")

    assert "Succeeded" in said, said


@pytest.mark.parametrize("broken", BROKEN_FILES)
def test_an_unreadable_release_file_stops_only_its_own_environment(
    environment: Callable[[str], Environment], broken: str
) -> None:
    dev, production = environment("dev"), environment("production")
    before = serving_now(dev)
    dev.serving(before)
    production.serving(serving_now(production))
    text, complaint = BROKEN_FILES[broken]

    push_by_hand("dev/release.yaml", text, f"a release file that {broken}")

    dev.argocd_complains(within=seconds(60))
    dev.refuses("promote", "dev", "staging", because=complaint)
    production.serving(other_good_version(production))
    dev.still_serves(before)
    dev.deliver("rollback", "dev")
    dev.argocd_looks_again()
    dev.argocd_complains_no_more(within=seconds(60))
    dev.serving(other_good_version(dev))
