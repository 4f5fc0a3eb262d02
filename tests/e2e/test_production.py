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
from drills.steps.story import Environment, minutes

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
    production.title = scene.title
    allocated, routed = router()

    scene.play(production.serving(STABLE[scene.name]).under(traffic(demo.RATE)))

    after = router()
    assert (after.allocated - allocated) / (after.routed - routed) < MOST_BYTES


def test_a_person_takes_a_promoted_release_back_without_the_canarys_steps(production: Environment) -> None:
    """A person takes a promoted release back."""
    given = production.serving("1.1").under(traffic(demo.RATE))

    when = given.taken_back()

    when.rollout_is("Healthy", within=minutes(3))
    when.argocd_is_content(within=minutes(2))
    # Its pods may still be there, and then the first step is taken before the guard has seen it.
    when.weight_was_never_above(5)
    when.requests_go_on(200)
    when.load_goes_on(until_requests=1_100)
    when.no_request_failed(of_at_least=1_000)
    production.still_serves("1.0")
