"""The core of the proof matrix, under the load of signed-in users: to everybody, back by itself, back by hand.

`make drills` plays the rest (delivery/drills/scenarios.py).
"""

from __future__ import annotations

from typing import NamedTuple

import httpx
import pytest

from cluster import addresses
from delivery.drills.images import errors, good
from delivery.drills.story import Environment, minutes, seconds
from delivery.drills.traffic import traffic

pytestmark = pytest.mark.e2e
MOST_BYTES = 256 * 1024
"""What the router may allocate for a request: 1 MiB each was once enough to stop it when the pods fell behind."""
RATE = 20
"""Requests a second: a third of the drills' own, which a machine with busy neighbours cannot answer (decision 0015)."""


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


def test_a_release_that_answers_500_is_rolled_back(production: Environment) -> None:
    """A release that answers 500 is rolled back, in Git as well."""
    given = production.serving("1.0").under(traffic(RATE))

    when = given.released(errors(share=1.0))

    when.rollout_is("Degraded", within=minutes(2))
    when.weight_is(0, within=seconds(10))
    when.healed(within=seconds(20), blamed=True)
    when.rollout_is("Healthy", within=minutes(1))
    when.argocd_is_content(within=minutes(1))
    when.no_new_steps_were_taken()
    when.canary_service_was_left_alone()
    when.requests_go_on(200)
    # So many that 16 s of the canary's 5 % stay below one in a hundred.
    when.load_goes_on(until_requests=1_700)
    when.weight_was_back_at_zero(within=seconds(20))
    when.failed_requests_are(below=0.01, of_at_least=1_600)
    production.refuses(
        "release", "--image", when.image.reference, "--to", "production", because="quarantined"
    )


def test_a_good_release_reaches_everybody(production: Environment) -> None:
    """A good release reaches everybody, while pods and Prometheus die."""
    given = production.serving("1.0").under(traffic(RATE))
    allocated, routed = router()

    when = given.released(good("1.1"))

    # As fast as the machine starts pods beside the load: one at half speed needed more than 40 s (2026-11-26).
    when.first_canary_pod_is_ready(within=minutes(2))
    when.weight_is(5, within=minutes(2))
    when.canary_pod_deleted()
    when.stable_pod_deleted()
    when.prometheus_deleted()
    when.rollout_is("Healthy", within=minutes(8))
    when.weights_seen_are(5, 20, 50, 100)
    when.load_goes_on(until_requests=2_200)
    after = router()
    assert (after.allocated - allocated) / (after.routed - routed) < MOST_BYTES
    when.no_request_failed(of_at_least=2_000)


def test_a_person_takes_a_promoted_release_back_without_the_canarys_steps(production: Environment) -> None:
    """A person takes a promoted release back."""
    given = production.serving("1.1").under(traffic(RATE))

    when = given.taken_back()

    when.rollout_is("Healthy", within=minutes(3))
    when.argocd_is_content(within=minutes(2))
    # Its pods may still be there, and then the first step is taken before the guard has seen it.
    when.weight_was_never_above(5)
    when.requests_go_on(200)
    when.load_goes_on(until_requests=1_100)
    when.no_request_failed(of_at_least=1_000)
    production.still_serves("1.0")
