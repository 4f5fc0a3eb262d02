"""Half of the time spent waiting, over two minutes, and only where the stable version does not wait as well."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.analysis.promtool import Expect, Pod, Promtool, near, nothing

if TYPE_CHECKING:
    from tests.analysis.templates import Template

NEW, OLD = "7d9f6c5b4", "59c8bd7f6"
AT = 130  # the pods are two minutes old


@pytest.fixture
def query(templates: dict[str, Template]) -> str:
    return templates["saturation-watch"].query_for(NEW, OLD)


def throttled(
    version: str, throttled: str, periods: str = "0+20x100", *, groups: tuple[str, ...] = ("", "web")
) -> Pod:
    """cAdvisor's two series know the pod and not the version; 20 periods of 100 ms are 2 s.

    `groups`: the control groups that it names, the pod's own one "" and that of its container.
    """
    pod = Pod(version, f"crm-{version}").up()
    for name, values in (("throttled_periods", throttled), ("periods", periods)):
        for container in groups:
            whose = f'pod="{pod.name}", container="{container}", id="/{pod.name}/{container}"'
            labels = f'namespace="crm-production", {whose}'
            pod.series[f"container_cpu_cfs_{name}_total{{{labels}}}"] = values
    return pod


def waiting(version: str, waited: str, took: str = "0+10x100", requests: str = "0+5x100") -> Pod:
    pod = Pod(version, f"crm-{version}").up().counts("db_pool_wait_seconds_total", waited)
    for name, values in (("sum", took), ("count", requests)):
        pod.counts(f"django_request_duration_seconds_{name}", values, method="GET", endpoint="deals-list")
        pod.counts(
            f"django_request_duration_seconds_{name}", "0+90x100", method="GET", endpoint="health-ready"
        )
    return pod


@pytest.mark.parametrize(
    ("pod", "share"),
    [
        (throttled(NEW, "0+9.9x100"), 0.495),
        (throttled(NEW, "0+10.1x100"), 0.505),
        (throttled(NEW, "0+10.1x100", groups=("",)), 0.505),
        (throttled(NEW, "0+10.1x100", groups=("web",)), 0.505),
        (waiting(NEW, "0+4.9x100"), 0.49),
        (waiting(NEW, "0+5.1x100"), 0.51),
        (waiting(NEW, "0x100"), 0),
    ],
)
def test_the_share_of_the_last_two_minutes(promtool: Promtool, query: str, pod: Pod, share: float) -> None:
    expected = [near(query, share, AT), Expect(f"({query}) >= bool 0.5", AT, {"{}": int(share >= 0.5)})]
    promtool.check(([pod], expected), ([pod, throttled(OLD, "0+1x100")], expected))


def test_time_counts_whenever_its_endpoint_was_first_asked(promtool: Promtool, query: str) -> None:
    """A good release was taken back at 0.57, most of its time being that of endpoints which nobody had asked before."""
    pod = waiting(NEW, "0+3x100", took="0+4x100")
    pod.counts("django_request_duration_seconds_sum", "_x10 0+20x90", method="GET", endpoint="deals-detail")
    promtool.check(([pod], [near(query, 180 / (4 * 60 + 20 * 55), AT)]))


def test_a_pod_that_had_no_user_two_minutes_ago_is_left_out(promtool: Promtool, query: str) -> None:
    before = waiting(NEW, "0x100")
    lately = Pod(NEW, "crm-lately").up().counts("db_pool_wait_seconds_total", "0+20x100")
    lately.counts("django_request_duration_seconds_sum", "_x10 0+40x90", method="GET", endpoint="deals-list")
    promtool.check(([before, lately], [near(query, 0, AT)]))


def test_the_larger_share_counts(promtool: Promtool, query: str) -> None:
    both = throttled(NEW, "0+4x100")
    both.series |= waiting(NEW, "0+8x100").series
    promtool.check(([both], [near(query, 0.8, AT)]))


@pytest.mark.parametrize(
    "pods",
    [
        [],
        [Pod(NEW).up()],
        [throttled(OLD, "0+1x100")],
        [throttled(NEW, "0+4x100", "0+4x100")],  # 240 periods
        [waiting(NEW, "0+10x100", requests="0+1x100")],  # 60 requests
        [throttled(NEW, "_x20 0+20x100", "_x20 0+20x100")],  # still starting
        [throttled(NEW, "0+20x100"), throttled(OLD, "0+15x100")],
        [waiting(NEW, "0+9x100"), throttled(OLD, "0+15x100")],
    ],
    ids=[
        "nothing",
        "no limit, no pool",
        "stable only",
        "hardly ran",
        "few requests",
        "new",
        "both",
        "both somehow",
    ],
)
def test_what_is_not_measured_or_not_the_releases_fault_is_no_answer(
    promtool: Promtool, query: str, pods: list[Pod]
) -> None:
    promtool.check((pods, [nothing(query, AT)]))


def test_an_outage_that_is_over_is_not_the_releases_fault(promtool: Promtool, query: str) -> None:
    """Probes waited for a database that was away; few requests since then remember it for longer than many."""
    labels = f'question="error-rate", namespace="crm-production", rollouts_pod_template_hash="{OLD}"'
    stable = waiting(OLD, "0x100")
    stable.series[f"crm:verdict_failing{{{labels}}}"] = "9x20 -5x80"
    promtool.check(([waiting(NEW, "0+9x100"), stable], [nothing(query, AT)]))


def test_a_number_that_is_none_proves_nothing(promtool: Promtool, query: str) -> None:
    promtool.check(([waiting(NEW, " ".join(["NaN"] * 100))], [nothing(f"({query}) >= 0.5", AT)]))


def test_a_reset_is_no_waiting(promtool: Promtool, query: str) -> None:
    """A container starts again, and the pool's counters start anew."""
    pod = waiting(NEW, "100+9x40 0+1x100", "200+10x40 0+10x100", "100+5x40 0+5x100")
    promtool.check(([pod], [nothing(f"({query}) >= 0.5", AT)]))
