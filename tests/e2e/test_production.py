"""The demo's scenes, and a rollback by hand, under the load of signed-in users.

`make drills` plays the rest (drills/scenarios/releases.py).
"""

from __future__ import annotations

from typing import NamedTuple

import httpx
import pytest

from cluster import addresses
from drills.load.traffic import traffic
from drills.scenarios import demo
from drills.steps.duration import minutes
from drills.steps.environment import Environment

pytestmark = pytest.mark.e2e
MOST_BYTES = 256 * 1024
"""What the router may allocate for a request: 1 MiB each was once enough to stop it when the pods fell behind."""
STABLE = {"good-release": "1.0", "errors": "1.1", "slow": "1.1"}
"""What users have when a scene begins."""


class Router(NamedTuple):
    """What Traefik has allocated since its start, in bytes, and how many requests it has routed."""

    allocated: float
    routed: float


def router() -> Router:
    text = (
        httpx.get(f"http://{addresses.NODE_ADDRESS}:{addresses.TRAEFIK_PORT}/metrics").raise_for_status().text
    )
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
    return Router(
        *(
            sum(float(value) for name, value in lines if name.partition("{")[0] == wanted)
            for wanted in ("go_memstats_alloc_bytes_total", "traefik_entrypoint_requests_total")
        )
    )


@pytest.mark.parametrize("scene", demo.SCENES, ids=lambda scene: scene.name)
def test_the_demo(production: Environment, scene: demo.Scene) -> None:
    """A scene of the demo."""
    allocated, routed = router()

    scene.run(production.serving(STABLE[scene.name]).under(traffic(demo.RATE)))

    after = router()
    assert (after.allocated - allocated) / (after.routed - routed) < MOST_BYTES


def test_a_person_rolls_a_promoted_release_back_without_the_canarys_steps(production: Environment) -> None:
    """A person rolls a promoted release back."""
    given = production.serving("1.1").under(traffic(demo.RATE))

    release = given.roll_back()

    release.wait_for_rollout("Healthy", within=minutes(3))
    release.wait_for_argocd(within=minutes(2))
    # Its pods may still be there, and then the first step is taken before the guard has seen it.
    release.assert_weight_at_most(5)
    release.wait_for_requests(200)
    release.wait_until_sent(1_100)
    release.assert_no_failed_requests(of_at_least=1_000, after=0)
    production.assert_serves("1.0")
