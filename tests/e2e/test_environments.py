"""What happens in one environment stays there."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from drills.fixtures import argocd
from drills.fixtures.images import good
from drills.fixtures.settings import push_by_hand
from drills.load.traffic import traffic
from drills.scenarios.scenario import other_good, serving_now
from drills.steps.duration import minutes, seconds
from drills.steps.environment import Environment

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

    release = given.release(good("1.1"))

    release.wait_for_rollout("Healthy", within=minutes(2))
    release.wait_for_requests(200)
    release.wait_until_sent(1_100)
    release.assert_no_failed_requests(of_at_least=1_000, after=0)


def test_argocd_app_sync_works_by_hand(dev: Environment) -> None:
    dev.serving("1.1")

    printed = argocd.sync("crm-dev")

    assert "Succeeded" in printed, printed


@pytest.mark.parametrize("broken", BROKEN_FILES)
def test_an_unreadable_release_file_stops_only_its_own_environment(
    environment: Callable[[str], Environment], broken: str
) -> None:
    dev, production = environment("dev"), environment("production")
    before = serving_now(dev)
    in_dev = dev.serving(before)
    in_production = production.serving(serving_now(production))
    text, error = BROKEN_FILES[broken]

    push_by_hand("dev/release.yaml", text, f"a release file that {broken}")

    dev.wait_for_argocd_error(within=seconds(60))
    dev.assert_refused("promote", "dev", "staging", because=error)
    production.serving(other_good(in_production))
    dev.assert_serves(before)
    dev.deliver("rollback", "dev")
    dev.refresh_argocd()
    dev.wait_for_end_of_argocd_error(within=seconds(60))
    dev.serving(other_good(in_dev))
